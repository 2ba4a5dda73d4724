"""The administrator's commands in their order, for every process of a gateway.

They are kept in memory that all processes share, so that one that is started again catches up.
"""

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

Command = dict[str, Any]
REPLACED = ("reload", "shadow")  # of these only the last one counts


class Commands:
    """Written by any process, read by each from the beginning."""

    def __init__(self, processes: int) -> None:
        self._journal = os.memfd_create("commands")
        self._wakes = [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(processes)
        ]
        for pair in self._wakes:
            for end in pair:
                end.setblocking(False)
        self._read_bytes = 0  # as far as this process has read

    def close(self) -> None:
        """Give the memory back."""
        os.close(self._journal)
        for pair in self._wakes:
            for end in pair:
                end.close()

    def wake_end(self, process: int) -> socket.socket:
        """Readable when there are commands that this process has not read."""
        return self._wakes[process][0]

    def append(self, command: Command, process: int | None = None) -> None:
        """One more, for the other processes than this one, which has carried it out."""
        entry = command | {"from": os.getpid()}
        os.write(self._journal, json.dumps(entry).encode() + b"\n")
        for at, (_, send_end) in enumerate(self._wakes):
            if at != process:
                with suppress(BlockingIOError):  # it has enough to wake up for
                    send_end.send(b"\n")

    def take(self) -> list[Command]:
        """Those of other processes since the last call."""
        size = os.fstat(self._journal).st_size - self._read_bytes
        entries = os.pread(self._journal, size, self._read_bytes)
        self._read_bytes += len(entries)
        commands = [json.loads(line) for line in entries.splitlines()]
        return without_replaced([each for each in commands if each.pop("from") != os.getpid()])


def without_replaced(commands: Sequence[Command]) -> list[Command]:
    """Without a router that another one has followed: loading takes long."""
    last = {each["command"]: at for at, each in enumerate(commands)}
    return [
        each
        for at, each in enumerate(commands)
        if each["command"] not in REPLACED or at == last[each["command"]]
    ]
