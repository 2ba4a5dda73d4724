/* Users of a gateway, cheap enough to share a core with the backend.
 *
 *   client PORT PATH CONNECTIONS REQUESTS_EACH BODY_FILE WINDOW_BEGIN_S WINDOW_END_S
 *
 * Connects first, then all connections send at once; each sends its next request when an answer
 * has ended. Prints "begun" once all are connected, then one JSON object: quantiles of the time to the first event, how long until every
 * connection had its first one, requests and events per second, events
 * within the window after the begin, failures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1024, READ_BYTES = 262144, CARRY = 5 };

typedef struct {
    int64_t sent_ns;
    int asked, answering, refused, carried;
    char carry[CARRY];
} User;

static char request[1 << 21], buffer[READ_BYTES + CARRY];
static size_t request_bytes;
static User *users;
static uint32_t *ttft_us;
static size_t answered, failed, first_events, events_seen, window_events;
static int epoll, open_users, each;
static int64_t begin_ns, first_all_ns, window_begin_ns, window_end_ns;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void leave(int fd, int lost) {
    if (lost) failed++;
    close(fd);
    open_users--;
}

static int ask(int fd) {
    User *u = &users[fd];
    u->asked++, u->answering = u->refused = u->carried = 0, u->sent_ns = now_ns();
    size_t sent = 0;
    while (sent < request_bytes) {
        ssize_t n = send(fd, request + sent, request_bytes - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { usleep(20); continue; }
        if (n < 0) return -1;
        sent += (size_t)n;
    }
    return 0;
}

/* Returns -1 when the connection is lost, 1 when this user has done all its requests. */
static int hear(int fd) {
    User *u = &users[fd];
    memcpy(buffer, u->carry, (size_t)u->carried);
    ssize_t got = recv(fd, buffer + u->carried, READ_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    size_t size = (size_t)got + (size_t)u->carried;
    if (!u->answering) {
        u->answering = 1;
        u->refused = size > 12 && memcmp(buffer + 9, "200", 3);
    }
    const char *at = buffer, *end = buffer + size;
    size_t before = events_seen;
    while ((at = memmem(at, (size_t)(end - at), "data:", 5))) {
        if (u->answering == 1) {
            int64_t now = now_ns();
            u->answering = 2;
            ttft_us[first_events++] = (uint32_t)((now - u->sent_ns) / 1000);
            if (u->asked == 1) first_all_ns = now - begin_ns;
        }
        events_seen++;
        at += 5;
    }
    int64_t since_ns = window_end_ns ? now_ns() - begin_ns : 0;
    if (since_ns >= window_begin_ns && since_ns < window_end_ns) window_events += events_seen - before;
    /* A head alone may end like the last chunk: a blank line must have come before. */
    int whole = size >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5)
        && (u->answering == 2 || memmem(buffer, size - 5, "\r\n\r\n", 4));
    if (u->refused) whole = 1;
    u->carried = size < 4 ? (int)size : 4; /* too short to hold a whole mark twice */
    memcpy(u->carry, end - u->carried, (size_t)u->carried);
    if (!whole) return 0;
    if (u->refused || u->answering != 2) failed++;
    else answered++;
    if (u->asked >= each) return 1;
    return ask(fd);
}

int main(int count, char **arguments) {
    if (count != 8) return fprintf(stderr, "usage: see the source\n"), 2;
    int port = atoi(arguments[1]), connections = atoi(arguments[3]);
    each = atoi(arguments[4]);
    window_begin_ns = (int64_t)(atof(arguments[6]) * 1e9);
    window_end_ns = (int64_t)(atof(arguments[7]) * 1e9);
    FILE *file = fopen(arguments[5], "rb");
    if (!file) return perror(arguments[5]), 2;
    static char body[1 << 20];
    size_t length = fread(body, 1, sizeof body, file);
    request_bytes = (size_t)snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
        "accept: text/event-stream\r\ncontent-length: %zu\r\n\r\n", arguments[2], port, length);
    memcpy(request + request_bytes, body, length);
    request_bytes += length;
    users = calloc(65536, sizeof *users);
    ttft_us = malloc((size_t)connections * (size_t)each * sizeof *ttft_us);
    epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int *fds = malloc((size_t)connections * sizeof *fds), on = 1;
    for (int i = 0; i < connections; i++) {
        int fd = fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
            return perror("connect"), 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        open_users++;
    }
    usleep(300000);
    puts("begun");
    fflush(stdout);
    begin_ns = now_ns();
    for (int i = 0; i < connections; i++)
        if (ask(fds[i])) leave(fds[i], 1);
    struct epoll_event events[BATCH];
    while (open_users > 0) {
        int ready = epoll_wait(epoll, events, BATCH, 60000);
        if (ready == 0) break; /* a hang: told as failures below */
        for (int i = 0; i < ready; i++) {
            int result = hear(events[i].data.fd);
            if (result) leave(events[i].data.fd, result < 0);
        }
    }
    failed += (size_t)open_users;
    double wall_s = (double)(now_ns() - begin_ns) * 1e-9;
    qsort(ttft_us, first_events, sizeof *ttft_us, order);
    uint32_t p50 = first_events ? ttft_us[first_events / 2] : 0;
    uint32_t p99 = first_events ? ttft_us[(size_t)(0.99 * (double)(first_events - 1))] : 0;
    printf("{\"ttft_p50_us\": %u, \"ttft_p99_us\": %u, \"first_all_s\": %.6f, \"requests_per_s\": %.1f, "
           "\"events_per_s\": %.1f, \"events\": %zu, \"window_events\": %zu, \"answered\": %zu, \"failed\": %zu, \"wall_s\": %.4f}\n",
           p50, p99, (double)first_all_ns * 1e-9, (double)answered / wall_s,
           (double)events_seen / wall_s, events_seen, window_events, answered, failed, wall_s);
    return 0;
}
