"""Many streamed requests on plain sockets and one epoll: the lean client.

Its cost per token is one `recvmsg` and one cut; JSON is read when the stream has ended.
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
# With so many connections, what comes is read so much later, many pieces at a time: the kernel's
# stamps tell when each came, and a turn for each would cost a sixth more of the processor.
GATHER_FROM, GATHER_S = 200, 0.0005
READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Streams:
    """Requests in flight to one endpoint; `on_done` gets slot and answer of each as it ends.

    The request is then still to be completed with its answer: the slot's next one goes first.
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
        self.turns_s = times()  # how long each turn, or a late wake, kept others waiting
        self.read_delays_s = times()  # from the kernel's stamp to the read, of every read
        self._address = addresses.resolve(url.hostname or "", url.port or 80)
        self._poll = select.epoll()
        self._slots: dict[int, Slot] = {}  # by file descriptor
        self._deadlines: deque[tuple[float, int, Slot]] = deque()
        self._failed: list[tuple[Slot, int, str]] = []  # slot, serial, cause: to be ended
        self._again: list[tuple[float, int, Slot]] = []  # a heap: when the server wants it again
        self._serial = 0
        self._stamped = False  # whether the kernel tells when bytes came

    def connect(self, slots: list[Slot]) -> None:
        """Open connections before the clock starts. A server that refuses is found out later."""
        for slot in slots:
            if not self._open(slot):
                break
        until_s = time.monotonic() + addresses.CONNECT_TIMEOUT_S
        while any(slot.socket and not slot.connected for slot in slots):
            if time.monotonic() > until_s:
                break
            self.turn(0.1)
        self.turns_s = times()

    def send(self, slot: Slot, data: bytes, request: Request) -> None:
        """Send `data`, a whole HTTP request, and note in `request` when."""
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
        """Wait for news at most `wait_s`, and handle all of it; False when there was none."""
        due_s = time.monotonic() + wait_s
        if wait_s and not self._failed:
            select.select([self._poll], [], [], wait_s)  # epoll waits whole milliseconds
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
        """The attempt to connect has ended, well or not."""
        assert slot.socket is not None
        code = slot.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(slot, os.strerror(code).lower())
            return
        slot.connected = True
        slot.blocked = True  # as far as the epoll knows
        self._write(slot)

    def _write(self, slot: Slot) -> None:
        """Send what the kernel takes, and wait for it only while there is more."""
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
        self._failed.append((slot, slot.serial, error))

    def _lose(self, slot: Slot, error: str) -> None:
        """The connection has ended.

        A server may end one that it kept at any time, a request on its way or not: where nothing of
        an answer has come, the request goes once more, on a new connection; its clock runs on.
        """
        if slot.request and slot.kept and not slot.answer.begun:
            self._drop(slot)
            slot.out, slot.kept = slot.data, False
            self._open(slot)
        else:
            self._fail(slot, error)

    def _read(self, slot: Slot, offset_s: float) -> None:
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
        """End what failed and what has run out of time."""
        now_s = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, serial, slot = self._deadlines.popleft()
            if slot.request and slot.serial == serial:
                slot.last_s = now_s
                self._fail(slot, f"timeout after {self.timeout_s:g} s")
        failed, self._failed = self._failed, []
        for slot, serial, error in failed:
            if slot.serial == serial:  # and has not begun another request since
                self._finish(slot, error)

    def _send_again(self) -> None:
        """Send what a server was too busy for (429) and whose wait is over."""
        while self._again and self._again[0][0] <= time.monotonic():
            _, serial, slot = heappop(self._again)
            if slot.request is None or slot.serial != serial:
                continue  # it has run out of time
            slot.out, slot.kept, slot.answer = slot.data, False, http.Answer()
            self._open(slot)

    def _waits(self, slot: Slot) -> bool:
        """Whether the answer is that the server wants the request again later."""
        wait_s = retries.wait_s(slot.answer.status, slot.answer.headers)
        if wait_s is None or slot.request is None:
            return False
        slot.request.retries += 1
        self._drop(slot)
        heappush(self._again, (time.monotonic() + wait_s, slot.serial, slot))
        return True

    def _finish(self, slot: Slot, error: str) -> None:
        if not error and self._waits(slot):
            return
        request, slot.request = slot.request, None
        if error or not slot.answer.keep_alive or request is None:
            self._drop(slot)
        if request is None:
            return  # a connection that nobody used has ended
        request.error = error
        request.end_s = slot.last_s
        self.on_done(slot, request, slot.answer)

    def _drop(self, slot: Slot) -> None:
        if slot.socket is not None:
            del self._slots[slot.socket.fileno()]
            slot.socket.close()
        slot.socket = None
        slot.connected = False
        slot.out = b""
