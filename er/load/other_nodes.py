"""What the other nodes of a job say while a point runs: of their GPUs and models, where they serve,
and of each that it is still there.

`python -m er.load.other_nodes GPUS` watches the node it runs on: it prints one line when it has
begun, then one each second, and one, in JSON, with all it saw when its input ends.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from er.errors import ErError
from er.load import gpus
from er.load.gpus import GpuWatch, Sample
from er.load.server_watch import Watch, stub_times_s
from er.process import nodes
from er.process.visible import visible_gpus

COMMAND = [sys.executable, "-m", "er.load.other_nodes"]
BEGUN = "begun"
ALIVE = "alive"
ALIVE_EVERY_S = 1.0
SILENT_S = 8.0  # without a line, after which the node is asked another way
ASK_TIMEOUT_S = 8.0
LOOK_S = 0.5
BEGIN_TIMEOUT_S = nodes.START_TIMEOUT_S + 30.0
ANSWER_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0


class LostNodeError(ErError):
    """A node of the job does not answer any more."""


@dataclass
class Others:
    """What they saw, in order of the nodes; None of one that does not say."""

    nodes: Sequence[str]
    seen: list[dict[str, Any] | None] = field(default_factory=list)

    def add_to(self, servers: Watch, gpu_watch: GpuWatch) -> None:
        """Count them in with what this node saw; the energy of all is known or none is."""
        if not self.nodes:
            return
        own = nodes.own()
        gpu_watch.samples = [replace(sample, node=own) for sample in gpu_watch.samples]
        for node, seen in zip(self.nodes, self.seen, strict=True):
            if seen is None:
                gpu_watch.energy_j = None
                continue
            servers.stub_cpu_s += seen["stub_cpu_s"]
            gpu_watch.samples += [replace(Sample(**row), node=node) for row in seen["samples"]]
            here_j, there_j = gpu_watch.energy_j, seen["energy_j"]
            known = here_j is not None and there_j is not None
            gpu_watch.energy_j = here_j + there_j if known else None


class Watcher:
    """The process that watches a node, and what it says."""

    def __init__(self, node: str, process: "subprocess.Popen[str]") -> None:
        self.node, self.process = node, process
        self.ended = False
        self.heard_s = time.monotonic()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def next_line(self, timeout_s: float) -> str:
        """What it says next; nothing when it ends, does not answer, or the node is gone."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s and not nodes.is_silent(self.node):
            with suppress(queue.Empty):
                return self._lines.get(timeout=LOOK_S)
        return ""

    def is_lost(self) -> bool:
        """Whether its node is gone: nothing came for a while, and nothing can be started there."""
        if not self.ended and time.monotonic() - self.heard_s < SILENT_S:
            return False
        lost = not nodes.answers(self.node, ASK_TIMEOUT_S)
        self.heard_s = float("inf") if self.ended else time.monotonic()
        return lost

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard_s = time.monotonic()
            if line.strip() != ALIVE:
                self._lines.put(line.strip())
        self.ended = True
        self._lines.put("")


@contextmanager
def watch_nodes(
    further: Sequence[str], gpus_each: int, of_load: Sequence[str] = ()
) -> Iterator[Others]:
    """Watch the nodes that serve, and those of the load generator, while the block lasts.

    Raises ErError when one does not begin, and LostNodeError, wherever the block is, when one does
    not answer any more; hence for the main thread only, where there are such nodes.
    """
    others = Others(further)
    with ExitStack() as stack:
        serving = [stack.enter_context(started(node, gpus_each)) for node in further]
        watchers = [*serving, *(stack.enter_context(started(node, 0)) for node in of_load)]
        for watcher in watchers:
            if watcher.next_line(BEGIN_TIMEOUT_S) != BEGUN:
                raise ErError(
                    f"node {watcher.node} cannot watch its GPUs and models (its error is above)"
                )
        with ended_with(watchers):
            yield others
        others.seen = [answer(watcher) for watcher in serving]


@contextmanager
def started(node: str, gpus_each: int) -> Iterator[Watcher]:
    """The watcher of a node, gone when the block ends."""
    process = subprocess.Popen(
        [*nodes.step(node), *COMMAND, str(gpus_each)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watcher = Watcher(node, process)
    try:
        yield watcher
    finally:  # it ends with its input; killing srun alone would leave it
        close_input(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0 if nodes.is_silent(node) else END_TIMEOUT_S)
        process.kill()
        process.wait()
        watcher.listener.join()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def ended_with(watchers: Sequence[Watcher]) -> Iterator[None]:
    """Raise LostNodeError in the main thread, while the block lasts, when a node is lost."""
    if not watchers:
        yield
        return
    lost: list[str] = []
    sending, over = threading.Lock(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            for watcher in watchers:
                if not watcher.is_lost():
                    continue
                with sending:
                    if not over.is_set():
                        lost.append(watcher.node)
                        os.kill(os.getpid(), signal.SIGUSR1)
                return

    def end(*_: object) -> None:
        raise LostNodeError(f"node {lost[0]} does not answer any more")

    before = signal.signal(signal.SIGUSR1, end)
    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        try:
            with sending:
                over.set()
        finally:
            signal.signal(signal.SIGUSR1, before)


def close_input(process: "subprocess.Popen[str]") -> None:
    """At which the watcher says what it saw, and ends."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()


def answer(watcher: Watcher) -> dict[str, Any] | None:
    """What it saw; None when it does not say."""
    close_input(watcher.process)
    try:
        return dict(json.loads(watcher.next_line(ANSWER_TIMEOUT_S)))
    except ValueError:
        return None


def main() -> None:
    """Watch this node until the input ends."""
    numbers = visible_gpus(int(sys.argv[1])) if int(sys.argv[1]) else []
    before_s = stub_times_s()
    with gpus.watch_gpus(numbers) as gpu_watch:
        print(BEGUN, flush=True)
        while not select.select([sys.stdin], [], [], ALIVE_EVERY_S)[0]:
            print(ALIVE, flush=True)
    after_s = stub_times_s()
    seen = {
        "stub_cpu_s": [after_s[pid] - before_s[pid] for pid in before_s if pid in after_s],
        "samples": [asdict(sample) for sample in gpu_watch.samples],
        "energy_j": gpu_watch.energy_j,
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
