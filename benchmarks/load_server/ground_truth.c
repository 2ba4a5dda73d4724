/* A server whose latencies are known: the truth that load generators are held against.
 *
 *   ground_truth TTFT_US ITL_MIN_US ITL_MAX_US
 *
 * Listens on a free loopback port, prints it, and answers every POST with a stream of as many
 * tokens as its "max_tokens" asks for: Triton's generate_stream events, or OpenAI's on paths that
 * begin with /v1. The first token leaves TTFT_US after the request's last byte arrived (the
 * kernel's stamp), each later one ITL_MIN_US to ITL_MAX_US (uniform) after the one before.
 * GET /truth tells, as JSON, when tokens really left, and forgets it; any other GET is answered
 * with an empty object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 65536, REQUEST_BYTES = 65536, BATCH = 1024, FLAT_OUT_TOKENS = 16 };

typedef struct {
    int64_t due_ns, asked_ns, sent_ns;
    int tokens_left, first, openai, heap_place;
    size_t filled;
    char *request;
} Connection;

typedef struct {
    uint32_t *us;
    size_t count, room;
} Sample;

static Connection connections[MOST_CONNECTIONS];
static int heap[MOST_CONNECTIONS], heap_size;
static Sample ttft, itl;
static int64_t ttft_us, itl_min_us, itl_max_us, first_asked_ns;
static int in_flight, most_in_flight, epoll;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void keep(Sample *sample, int64_t ns) {
    if (sample->count == sample->room) {
        sample->room = sample->room ? 2 * sample->room : 65536;
        sample->us = realloc(sample->us, sample->room * sizeof *sample->us);
    }
    sample->us[sample->count++] = (uint32_t)(ns / 1000);
}

/* A binary heap of file descriptors, ordered by the time at which their next token is due. */
static int earlier(int a, int b) {
    return connections[heap[a]].due_ns < connections[heap[b]].due_ns;
}
static void swap(int a, int b) {
    int fd = heap[a];
    heap[a] = heap[b], heap[b] = fd;
    connections[heap[a]].heap_place = a, connections[heap[b]].heap_place = b;
}
static void rise(int at) {
    for (; at && earlier(at, (at - 1) / 2); at = (at - 1) / 2) swap(at, (at - 1) / 2);
}
static void sink(int at) {
    for (int child; (child = 2 * at + 1) < heap_size; at = child) {
        if (child + 1 < heap_size && earlier(child + 1, child)) child++;
        if (!earlier(child, at)) return;
        swap(at, child);
    }
}
static void schedule(int fd, int64_t due_ns) {
    connections[fd].due_ns = due_ns;
    if (connections[fd].heap_place < 0) {
        connections[fd].heap_place = heap_size;
        heap[heap_size++] = fd;
    }
    rise(connections[fd].heap_place);
    sink(connections[fd].heap_place);
}
static void unschedule(int fd) {
    int at = connections[fd].heap_place;
    if (at < 0) return;
    swap(at, --heap_size);
    connections[fd].heap_place = -1;
    if (at < heap_size) rise(at), sink(at);
}

static void hang_up(int fd) {
    if (connections[fd].tokens_left) in_flight--;
    unschedule(fd);
    free(connections[fd].request);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

/* Returns 0 when the whole of `text` was taken, -1 when the connection is lost. */
static int say(int fd, const char *text, size_t length) {
    while (length) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            usleep(50); /* only when flat out: a client that reads keeps its socket empty */
            continue;
        }
        if (sent < 0) return -1;
        text += sent, length -= (size_t)sent;
    }
    return 0;
}

static int order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}
static double quantile_s(Sample *sample, double share) {
    return sample->count ? sample->us[(size_t)(share * (double)(sample->count - 1))] * 1e-6 : 0;
}

static int tell_truth(int fd) {
    char body[512], reply[1024];
    qsort(ttft.us, ttft.count, sizeof *ttft.us, order);
    qsort(itl.us, itl.count, sizeof *itl.us, order);
    int length = snprintf(body, sizeof body,
        "{\"requests\": %zu, \"tokens\": %zu, \"most_in_flight\": %d, \"first_asked_unix_s\": %.6f, "
        "\"ttft_p50_s\": %.6f, \"ttft_p99_s\": %.6f, \"itl_p50_s\": %.6f, \"itl_p99_s\": %.6f}",
        ttft.count, ttft.count + itl.count, most_in_flight, (double)first_asked_ns * 1e-9,
        quantile_s(&ttft, .5), quantile_s(&ttft, .99),
        quantile_s(&itl, .5), quantile_s(&itl, .99));
    ttft.count = itl.count = 0;
    first_asked_ns = 0;
    most_in_flight = in_flight;
    length = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        "content-length: %d\r\n\r\n%s", length, body);
    return say(fd, reply, (size_t)length);
}

static int say_token(int fd) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        "transfer-encoding: chunked\r\n\r\n";
    Connection *c = &connections[fd];
    char event[256], out[512];
    const char *format = c->openai
        ? "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"model\":\"truth\",\"choices\":"
          "[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":%s}]}\n\n%s"
        : "data: {\"model_name\":\"truth\",\"model_version\":\"1\",\"text_output\":\"word \"}\n\n";
    int last = c->tokens_left == 1;
    int size = snprintf(event, sizeof event, format, last ? "\"stop\"" : "null",
                        last ? "data: [DONE]\n\n" : "");
    int length = snprintf(out, sizeof out, "%s%x\r\n%s\r\n%s", c->first ? head : "", size, event,
                          last ? "0\r\n\r\n" : "");
    int64_t now = now_ns();
    keep(c->first ? &ttft : &itl, now - (c->first ? c->asked_ns : c->sent_ns));
    c->first = 0, c->sent_ns = now;
    if (!--c->tokens_left) in_flight--;
    return say(fd, out, (size_t)length);
}

/* Returns -1 when the connection is lost. */
static int answer(int fd, int64_t arrived_ns) {
    static const char empty[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        "content-length: 2\r\n\r\n{}";
    Connection *c = &connections[fd];
    c->request[c->filled] = 0;
    char *body = strstr(c->request, "\r\n\r\n");
    if (!body) return 0;
    body += 4;
    char *length = strcasestr(c->request, "content-length:");
    size_t wanted = length && length < body ? strtoul(length + 15, NULL, 10) : 0;
    if (c->filled - (size_t)(body - c->request) < wanted) return 0;
    c->filled = 0;
    if (!strncmp(c->request, "GET /truth", 10)) return tell_truth(fd);
    if (!strncmp(c->request, "GET", 3)) return say(fd, empty, sizeof empty - 1);
    char *tokens = strstr(body, "\"max_tokens\":");
    if (!tokens) tokens = strstr(body, "\"max_completion_tokens\":");
    c->tokens_left = tokens ? atoi(strchr(tokens, ':') + 1) : 64;
    if (c->tokens_left < 1) c->tokens_left = 1;
    c->openai = !strncmp(c->request, "POST /v1", 8);
    c->first = 1, c->asked_ns = arrived_ns;
    if (!first_asked_ns) first_asked_ns = arrived_ns;
    if (++in_flight > most_in_flight) most_in_flight = in_flight;
    schedule(fd, arrived_ns + ttft_us * 1000);
    return 0;
}

static int hear(int fd) {
    Connection *c = &connections[fd];
    char control[64];
    struct iovec piece = {c->request + c->filled, REQUEST_BYTES - c->filled};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    int64_t arrived = now_ns();
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
        arrived = stamp.tv_sec * 1000000000LL + stamp.tv_nsec;
    }
    c->filled += (size_t)got;
    return c->filled >= REQUEST_BYTES ? -1 : answer(fd, arrived);
}

static void welcome(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        connections[fd].request = malloc(REQUEST_BYTES + 1);
        connections[fd].heap_place = -1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void send_due(void) {
    int64_t now = now_ns();
    while (heap_size && connections[heap[0]].due_ns <= now) {
        int fd = heap[0], lost = 0;
        Connection *c = &connections[fd];
        int burst = itl_max_us ? 1 : FLAT_OUT_TOKENS;
        while (!lost && burst-- && c->tokens_left) lost = say_token(fd);
        if (lost) hang_up(fd);
        else if (!c->tokens_left) unschedule(fd);
        else {
            int64_t spread = itl_max_us - itl_min_us + 1;
            int64_t gap = itl_min_us + (int64_t)(random_bits() % (uint64_t)spread);
            schedule(fd, (itl_max_us ? c->due_ns : now + 1) + gap * 1000);
        }
    }
}

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: ground_truth TTFT_US ITL_MIN_US ITL_MAX_US\n"), 2;
    ttft_us = atoll(arguments[1]), itl_min_us = atoll(arguments[2]), itl_max_us = atoll(arguments[3]);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 65535)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[BATCH];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int64_t wait = heap_size ? connections[heap[0]].due_ns - now_ns() : 1000000000LL;
        if (wait < 0) wait = 0;
        struct timespec patience = {wait / 1000000000LL, wait % 1000000000LL};
        int ready = epoll_pwait2(epoll, events, BATCH, &patience, NULL);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) welcome(listener);
            else if (hear(fd)) hang_up(fd);
        }
        send_due();
    }
}
