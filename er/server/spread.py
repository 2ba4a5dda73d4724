"""Serve the models of a deployment on several nodes, an equal share of them on each.

The first node, which runs er, starts `er.server.node` on each of the others as a step of the job.
"""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.config import Config
from er.errors import ErError
from er.process import group, guard, nodes, readiness
from er.process.launch import unique
from er.results import names
from er.results.request import Endpoint, ServedModel
from er.server.embedded import prove
from er.server.ports import HOST

SOON_S = 8.0  # servers have mostly stopped by then
ASK_TIMEOUT_S = 8.0
NODES = "nodes"  # folder of the run directory: a folder for each further node
READY = "er.server.node: ready"  # begins the line with the endpoints in the node's log
Start = Callable[[list[ServedModel], Config, Path, str], AbstractContextManager[list[Endpoint]]]


@dataclass(frozen=True)
class Share:
    """The models that one of several nodes serves."""

    node: str
    models: list[ServedModel]
    config: Config
    folder: Path  # of this share alone, on a file system that all nodes see
    logs: Path  # folder of the logs of its servers and of the step itself
    token: str  # distinguishes its answer from that of an earlier command

    @property
    def log(self) -> Path:
        """The output of the step."""
        return self.logs / "node.log"


@dataclass(frozen=True)
class Step:
    """The step of the job that serves a share; it ends when its standard input does."""

    share: Share
    process: "subprocess.Popen[bytes]"

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"servers of node {self.share.node}"

    @property
    def log_path(self) -> Path:
        """The file of its output."""
        return self.share.log

    def last_log_lines(self) -> str:
        """The last lines of its log, in one line."""
        return group.last_log_lines(self.share.log)

    def require_alive(self) -> None:
        """Raise ErError when it has ended."""
        status = self.process.poll()
        if status is not None:
            raise ErError(
                f"{self.name} ended with exit status {status}: {self.last_log_lines()} "
                f"(logs: {self.share.logs})"
            )

    def end(self) -> None:
        """Let it stop its servers, as it also does when this process is killed; returns at once."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> None:
        """Wait until nothing of it is left, or only briefly when its node no longer answers."""
        timeout_s = self.share.config.server.stop_timeout_s + group.KILL_ALLOWANCE_S
        if not nodes.is_silent(self.share.node) and self._ended_within(SOON_S):
            return
        if nodes.answers(self.share.node, ASK_TIMEOUT_S):  # else Slurm ends the step with the job
            if self._ended_within(timeout_s - SOON_S):
                return
            guard.run_end(nodes.end_step(self.share.token))
        self.process.kill()
        self.process.wait()

    def _ended_within(self, limit_s: float) -> bool:
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def serve(
    start: Start,
    models: Sequence[ServedModel],
    config: Config,
    run_dir: Path,
    further: Sequence[str],
) -> Iterator[list[Endpoint]]:
    """Serve `models`, the same number on each node, the first ones here with `start`.

    All servers start at once. Each model is proved by an inference on its node, and from here. When
    the block ends, nothing is left on any node. Raises ErError when a server cannot be started.
    """
    each = len(models) // (1 + len(further))
    with ExitStack() as stack:
        steps = []
        for number, node in enumerate(further, 1):
            own = list(models[number * each : (number + 1) * each])
            folder, logs = run_dir / NODES / node, run_dir / names.LOGS / node
            places = (folder.absolute(), logs.absolute())
            share = Share(node, own, config, *places, unique("serve"))
            steps.append(stack.enter_context(started_there(share)))
        endpoints = list(stack.enter_context(start(list(models[:each]), config, run_dir, HOST)))
        for step in steps:
            stack.callback(step.end)  # all nodes stop at the same time
        for step in steps:
            endpoints += wait_for(step)
        yield endpoints


@contextmanager
def started_there(share: Share) -> Iterator[Step]:
    """Start the step that serves a share on its node; it has ended when the block ends."""
    for folder in (share.folder, share.logs):
        folder.mkdir(parents=True, exist_ok=True)
    link = share.folder / names.LOGS
    link.unlink(missing_ok=True)
    link.symlink_to(share.logs)
    plan = share.folder / "share.pickle"
    plan.write_bytes(pickle.dumps(share))
    command = [sys.executable, "-m", "er.server.node", str(plan)]
    with share.log.open("ab") as log:
        process = subprocess.Popen(
            [*nodes.step(share.node, share.token), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # its input, not a signal to all, ends it
        )
    step = Step(share, process)
    try:
        yield step
    finally:
        step.end()
        step.wait()


def wait_for(step: Step) -> list[Endpoint]:
    """The endpoints of a node, once each model has answered an inference there and from here."""
    share = step.share
    timeout_s = share.config.server.ready_timeout_s
    readiness.wait_until(lambda: bool(answer(share)), step, timeout_s, "its models to load")
    endpoints = [Endpoint(**fields) for fields in json.loads(answer(share))]
    for endpoint, model in zip(endpoints, share.models, strict=True):
        nodes.reach_directly(endpoint.host)
        prove(endpoint, model.ready_max_tokens)
    return endpoints


def answer(share: Share) -> str:
    """The endpoints that the node's step has printed, in JSON; empty until it has."""
    begin = f"{READY} {share.token} "
    lines = share.log.read_text(errors="replace").splitlines(keepends=True)
    found = [line for line in lines if line.startswith(begin) and line.endswith("\n")]
    return found[-1].removeprefix(begin) if found else ""
