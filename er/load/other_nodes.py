"""What the other nodes that serve say of their GPUs and models while a point runs.

`python -m er.load.other_nodes GPUS` watches the node it runs on: it prints one line when it has
begun and one, in JSON, with all it saw when its input ends.
"""

import json
import subprocess
import sys
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
ANSWER_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0


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


@contextmanager
def watch_nodes(further: Sequence[str], gpus_each: int) -> Iterator[Others]:
    """Watch these nodes while the block lasts. Raises ErError when one does not begin."""
    others = Others(further)
    with ExitStack() as stack:
        watchers = [stack.enter_context(started(node, gpus_each)) for node in further]
        for node, process in zip(further, watchers, strict=True):
            if first_line(process) != BEGUN:
                raise ErError(f"node {node} cannot watch its GPUs and models (its error is above)")
        yield others
        others.seen = [answer(process) for process in watchers]


@contextmanager
def started(node: str, gpus_each: int) -> Iterator["subprocess.Popen[str]"]:
    """The watcher of a node, gone when the block ends."""
    process = subprocess.Popen(
        [*nodes.step(node), *COMMAND, str(gpus_each)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:  # it ends with its input; killing srun alone would leave it
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=END_TIMEOUT_S)
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    """What it says first; nothing when it ends without a word."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answer(process: "subprocess.Popen[str]") -> dict[str, Any] | None:
    """What it saw; None when it does not say."""
    try:
        text, _ = process.communicate(timeout=ANSWER_TIMEOUT_S)
        return dict(json.loads(text))
    except (subprocess.TimeoutExpired, ValueError):
        return None


def main() -> None:
    """Watch this node until the input ends."""
    numbers = visible_gpus(int(sys.argv[1])) if int(sys.argv[1]) else []
    before_s = stub_times_s()
    with gpus.watch_gpus(numbers) as gpu_watch:
        print(BEGUN, flush=True)
        sys.stdin.read()
    after_s = stub_times_s()
    seen = {
        "stub_cpu_s": [after_s[pid] - before_s[pid] for pid in before_s if pid in after_s],
        "samples": [asdict(sample) for sample in gpu_watch.samples],
        "energy_j": gpu_watch.energy_j,
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
