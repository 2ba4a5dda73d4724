"""The models of a deployment over several nodes: a share of them on each, served alike.

The first node, which runs er, starts `er.server.node` on each of the others as a step of the job.
"""

import json
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.config import Config
from er.process import nodes, readiness
from er.process.group import Child, running
from er.process.launch import unique
from er.results import names
from er.results.request import Endpoint, ServedModel
from er.server.embedded import prove
from er.server.ports import HOST

NODES = "nodes"  # folder of the run directory: a folder for each further node
READY = "er.server.node: ready"  # begins the line with the endpoints in the node's log
STOP_ALLOWANCE_S = 10.0
Start = Callable[[list[ServedModel], Config, Path, str], AbstractContextManager[list[Endpoint]]]


@dataclass(frozen=True)
class Share:
    """What one of several nodes serves."""

    node: str
    models: list[ServedModel]
    config: Config
    folder: Path  # of its own, seen by all nodes
    logs: Path  # of its servers, and of the step itself
    token: str  # tells its answer from one of an earlier command

    @property
    def log(self) -> Path:
        """What the step printed."""
        return self.logs / "node.log"


@contextmanager
def serve(
    start: Start,
    models: Sequence[ServedModel],
    config: Config,
    run_dir: Path,
    further: Sequence[str],
) -> Iterator[list[Endpoint]]:
    """Serve `models`, as many on each node, the first ones here by `start`; all start at once.

    Each is proved by an inference on its node, and from here. When the block ends nothing is left
    on any node. Raises ErError when a server cannot be started.
    """
    each = len(models) // (1 + len(further))
    with ExitStack() as stack:
        shares, children = [], []
        for number, node in enumerate(further, 1):
            own = list(models[number * each : (number + 1) * each])
            folder, logs = run_dir / NODES / node, run_dir / names.LOGS / node
            places = (folder.absolute(), logs.absolute())
            shares.append(Share(node, own, config, *places, unique("serve")))
            children.append(stack.enter_context(started_there(shares[-1])))
        here = stack.enter_context(start(list(models[:each]), config, run_dir, HOST))
        endpoints = list(here)
        for share, child in zip(shares, children, strict=True):
            endpoints += wait_for(share, child)
        yield endpoints


@contextmanager
def started_there(share: Share) -> Iterator[Child]:
    """The step that serves a share on its node; gone, with all it started, when the block ends."""
    for folder in (share.folder, share.logs):
        folder.mkdir(parents=True, exist_ok=True)
    link = share.folder / names.LOGS
    link.unlink(missing_ok=True)
    link.symlink_to(share.logs)
    plan = share.folder / "share.pickle"
    plan.write_bytes(pickle.dumps(share))
    command = [sys.executable, "-m", "er.server.node", str(plan)]
    with running(
        [*nodes.step(share.node, share.token), *command],
        share.log,
        name=f"servers of node {share.node}",
        stop_timeout_s=share.config.server.stop_timeout_s + STOP_ALLOWANCE_S,
        end=nodes.end_step(share.token),
    ) as child:
        yield child


def wait_for(share: Share, child: Child) -> list[Endpoint]:
    """The endpoints of a node, once each infers there and answers from here."""
    timeout_s = share.config.server.ready_timeout_s
    readiness.wait_until(lambda: bool(answer(share)), child, timeout_s, "its models to load")
    endpoints = [Endpoint(**fields) for fields in json.loads(answer(share))]
    for endpoint, model in zip(endpoints, share.models, strict=True):
        nodes.reach_directly(endpoint.host)
        prove(endpoint, model.ready_max_tokens)
    return endpoints


def answer(share: Share) -> str:
    """What the node's step says of its endpoints, in JSON; empty until it does."""
    begin = f"{READY} {share.token} "
    lines = share.log.read_text(errors="replace").splitlines(keepends=True)
    found = [line for line in lines if line.startswith(begin) and line.endswith("\n")]
    return found[-1].removeprefix(begin) if found else ""
