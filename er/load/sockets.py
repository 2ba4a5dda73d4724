"""Many streamed requests on plain sockets and one epoll: the client with the least cost.

A token costs one `recvmsg` and one split of bytes; JSON is parsed when the stream has ended.
"""

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from urllib.parse import urlsplit

from er.load import addresses, http, retries, stamps
from er.load.answer import BadAnswerError
from er.load.effort import times
from er.load.slot import Slot
from er.results.request import Endpoint, Request

RECEIVE_BYTES = 65536
CONNECT_TURN_S = 0.1  # longest wait for news while connections open
# From this many connections on, reads wait this long, so that many are done in one turn: a turn for
# each would cost a sixth more CPU time. The kernel's stamps still show when each piece arrived.
GATHER_FROM, GATHER_S = 200, 0.0005
READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Streams:
    """Requests in flight to one endpoint.

    `on_done` gets slot, request and answer of each request as it ends. The answer has not been
    decoded into the request yet: first the slot's next request is sent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout_s: float,
        on_done: Callable[[Slot, Request, http.Answer], None],
    ) -> None:
        url = urlsplit(endpoint.url)
        self.timeout_s = timeout_s
        self.on_done = on_done
        self.turns_s = times()  # for how long each turn, or a late wake-up, made others wait
        self.read_delays_s = times()  # from the kernel's stamp to the read, for every read
        self._address = addresses.resolve(url.hostname or "", url.port or 80)
        self._poll = select.epoll()
        self._slots: dict[int, Slot] = {}  # by file descriptor
        self._deadlines: deque[tuple[float, int, Slot]] = deque()
        self._failed: list[tuple[Slot, int, str]] = []  # slot, serial, cause: not ended yet
        self._again: list[tuple[float, int, Slot]] = []  # a heap: requests to send again, by time
        self._serial = 0
        self._stamped = False  # whether the kernel stamps what arrives

    def connect(self, slots: list[Slot]) -> None:
        """Open connections before the clock starts; errors show when requests are sent."""
        for slot in slots:
            if not self._open(slot):
                break
        until_s = time.monotonic() + addresses.CONNECT_TIMEOUT_S
        while any(slot.socket and not slot.connected for slot in slots):
            if time.monotonic() > until_s:
                break
            self.turn(CONNECT_TURN_S)
        self.turns_s = times()

    def send(self, slot: Slot, data: bytes, request: Request) -> None:
        """Send `data`, a whole HTTP request, and set `request.send_s`."""
        slot.data = slot.out = data
        slot.kept = slot.socket is not None
        slot.answer = http.Answer()
        slot.request = request
        self._serial += 1
        slot.serial = self._serial
        request.send_s = slot.last_s = time.monotonic()
        self._deadlines.append((request.send_s + self.timeout_s, slot.serial, slot))
        if slot.socket is None:
            self._open(slot)
        elif slot.connected:
            self._write(slot)

    def turn(self, wait_s: float) -> bool:
        """Wait at most `wait_s` seconds for events, and handle them; False if there were none."""
        due_s = time.monotonic() + wait_s
        if wait_s and not self._failed:
            select.select([self._poll], [], [], wait_s)  # epoll would wait whole milliseconds
            if self._stamped and len(self._slots) >= GATHER_FROM:
                due_s = min(due_s, time.monotonic())  # so that the wait counts as lag
                time.sleep(GATHER_S)
        ready = self._poll.poll(0)
        woke_s = time.monotonic()
        offset_s = time.time() - woke_s
        for descriptor, news in ready:
            slot = self._slots.get(descriptor)
            if slot is None:
                continue
            if not slot.connected:
                self._establish(slot)
            elif news == WRITE:
                self._write(slot)
            else:
                self._read(slot, offset_s)
        self._send_again()
        self._settle()
        if ready or woke_s > due_s:
            self.turns_s.append(time.monotonic() - min(woke_s, due_s))
        return bool(ready)

    def close(self) -> None:
        """Close every connection, also those in use."""
        for slot in list(self._slots.values()):
            self._drop(slot)
        self._poll.close()

    def _open(self, slot: Slot) -> bool:
        """Begin to connect; False when that fails at once."""
        if isinstance(self._address, str):
            self._fail(slot, self._address)
            return False
        family, address = self._address
        try:
            slot.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:  # out of file descriptors
            self._fail(slot, addresses.describe_error(error))
            return False
        slot.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamps.enable(slot.socket)
        self._slots[slot.socket.fileno()] = slot
        self._poll.register(slot.socket.fileno(), READ | WRITE)
        slot.socket.connect_ex(address)  # an error comes again with the first event
        return True

    def _establish(self, slot: Slot) -> None:
        """An attempt to connect has succeeded or failed."""
        assert slot.socket is not None
        code = slot.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(slot, os.strerror(code).lower())
            return
        slot.connected = True
        slot.blocked = True  # as the epoll was registered
        self._write(slot)

    def _write(self, slot: Slot) -> None:
        """Send what the kernel accepts; watch for writability only while data is left."""
        assert slot.socket is not None
        if slot.out:
            try:
                slot.out = slot.out[slot.socket.send(slot.out) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._lose(slot, addresses.describe_error(error))
                return
        if bool(slot.out) != slot.blocked:
            slot.blocked = bool(slot.out)
            self._poll.modify(slot.socket.fileno(), READ | WRITE if slot.blocked else READ)

    def _fail(self, slot: Slot, error: str) -> None:
        """End the slot's request at the end of this turn."""
        self._failed.append((slot, slot.serial, error))

    def _lose(self, slot: Slot, error: str) -> None:
        """The connection has ended.

        A server may close a kept connection at any time, even while a request is on its way. If no
        byte of an answer has arrived, the request is sent once more on a new connection, while its
        clock runs on.
        """
        if slot.request and slot.kept and not slot.answer.begun:
            self._drop(slot)
            slot.out, slot.kept = slot.data, False
            self._open(slot)
        else:
            self._fail(slot, error)

    def _read(self, slot: Slot, offset_s: float) -> None:
        """Read once; `offset_s` is how far the monotonic clock is behind real time."""
        assert slot.socket is not None
        try:
            data, ancillary, _, _ = slot.socket.recvmsg(RECEIVE_BYTES, stamps.CONTROL_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(slot, addresses.describe_error(error))
            return
        read_s = time.monotonic()
        if ancillary:
            self._stamped = True
            slot.last_s = stamps.arrival_s(ancillary, offset_s)
            self.read_delays_s.append(read_s - slot.last_s)
        else:
            slot.last_s = read_s
        try:
            if data:
                slot.answer.feed(data, slot.last_s)
            else:
                slot.answer.close()
        except BadAnswerError as error:
            (self._fail if data else self._lose)(slot, str(error))
            return
        if slot.answer.done:
            self._finish(slot, "")

    def _settle(self) -> None:
        """End requests that failed or timed out."""
        now_s = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, serial, slot = self._deadlines.popleft()
            if slot.request and slot.serial == serial:
                slot.last_s = now_s
                self._fail(slot, f"timeout after {self.timeout_s:g} s")
        failed, self._failed = self._failed, []
        for slot, serial, error in failed:
            if slot.serial == serial:  # the slot has not begun another request since
                self._finish(slot, error)

    def _send_again(self) -> None:
        """Send requests again that a busy server (429) refused and whose wait is over."""
        while self._again and self._again[0][0] <= time.monotonic():
            _, serial, slot = heappop(self._again)
            if slot.request is None or slot.serial != serial:
                continue  # it has run out of time
            slot.out, slot.kept, slot.answer = slot.data, False, http.Answer()
            self._open(slot)

    def _retries(self, slot: Slot) -> bool:
        """Whether the server (429) wants the request again later; if so, schedule it."""
        wait_s = retries.wait_s(slot.answer.status, slot.answer.headers)
        if wait_s is None or slot.request is None:
            return False
        slot.request.retries += 1
        self._drop(slot)
        heappush(self._again, (time.monotonic() + wait_s, slot.serial, slot))
        return True

    def _finish(self, slot: Slot, error: str) -> None:
        """The request of a slot has ended: report it, unless it is sent again."""
        if not error and self._retries(slot):
            return
        request, slot.request = slot.request, None
        if error or not slot.answer.keep_alive or request is None:
            self._drop(slot)
        if request is None:
            return  # an idle connection has ended
        request.error = error
        request.end_s = slot.last_s
        self.on_done(slot, request, slot.answer)

    def _drop(self, slot: Slot) -> None:
        """Close the slot's connection."""
        if slot.socket is not None:
            del self._slots[slot.socket.fileno()]
            slot.socket.close()
        slot.socket = None
        slot.connected = False
        slot.out = b""
