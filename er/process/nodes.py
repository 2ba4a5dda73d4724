"""The nodes of a Slurm job: which serve, which send the load, and how a command starts there.

The first node runs er, the gateway and servers. Outside a job, everything is on this machine.
"""

import os
import shlex
import socket
import subprocess
from collections.abc import Sequence
from typing import TypeGuard

from er.config import Cluster, SlurmCluster
from er.errors import ErError

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 60
NODES_OF_PART = "SLURM_JOB_NODELIST_HET_GROUP_{}"  # of a job in two parts: 0 serves, 1 sends
NODES = "SLURM_JOB_NODELIST"  # of any other job
EXPAND_TIMEOUT_S = 30
_silent: set[str] = set()  # nodes of this job that gave no answer


def of_load(cluster: Cluster) -> list[str]:
    """The nodes of the load generator; empty when it runs on this one.

    Raises ErError when the job does not have as many as configured.
    """
    if not _in_job(cluster) or not cluster.load_node:
        return []
    return _named(NODES_OF_PART.format(1), cluster.load_nodes, "load_nodes")


def further(cluster: Cluster) -> list[str]:
    """The nodes that serve, without this one.

    Raises ErError when the job does not have as many as configured.
    """
    if not _in_job(cluster) or cluster.nodes == 1:
        return []
    variable = NODES_OF_PART.format(0) if _in_parts() else NODES
    return [name for name in _named(variable, cluster.nodes, "nodes") if name != own()]


def own() -> str:
    """The name of this node in Slurm."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def host(cluster: Cluster) -> str:
    """The host under which the load generator reaches servers on this node."""
    return socket.gethostname() if of_load(cluster) else LOOPBACK


def step(node: str, name: str = "er") -> list[str]:
    """The words before a command that start it on a node of this job, as a step.

    The step may use all resources of the job on the node. Its standard input and output are those
    of srun. `name` is for `end_step`.
    """
    return [
        "srun", f"--job-name={name}", *_part_of(node), f"--nodelist={node}", "--nodes=1",
        "--ntasks=1", "--overlap", "--cpu-bind=none", "--mem=0", "--mpi=none", "--unbuffered",
        "--kill-on-bad-exit=1", "--quiet", f"--immediate={START_TIMEOUT_S}",
    ]  # fmt: skip


def end_step(name: str) -> list[str]:
    """The command that kills the steps of this job with this name."""
    steps = 'squeue --noheader --steps --jobs="$SLURM_JOB_ID" --format="%i %j"'
    mine = f'[ "$name" = {shlex.quote(name)} ] && scancel --signal=KILL "$step"'
    return ["sh", "-c", f"{steps} | while read -r step name; do {mine}; done"]


def load_steps(cluster: Cluster) -> list[list[str]]:
    """A `step` for each node of the load generator; empty when it runs on this node."""
    return [step(node) for node in of_load(cluster)]


def run_there(step: Sequence[str], command: Sequence[str], timeout_s: float) -> None:
    """Run a command through a step. Raises ErError, with its last line, when it fails."""
    try:
        done = subprocess.run(
            [*step, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ErError(f"the load generator's node gave no answer within {timeout_s:g} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ErError(f"the load generator's node: {lines[-1]}")


def answers(node: str, timeout_s: float) -> bool:
    """Whether a command can be started on a node of this job. One that gave no answer is not asked
    again: Slurm ends the job when it has noticed."""
    if is_silent(node):
        return False
    try:
        run_there(step(node), ["true"], timeout_s)
    except ErError:
        _silent.add(node)
    return not is_silent(node)


def is_silent(node: str) -> bool:
    """Whether the node gave no answer when it was asked."""
    return node in _silent


def is_step_of_silent(step: Sequence[str]) -> bool:
    """Whether a command line of `step` is for a node that gave no answer."""
    return any(f"--nodelist={node}" in step for node in _silent)


def reach_directly(host: str) -> None:
    """Let this process, and what it starts, reach a node of the job without a proxy."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in known.split(",") if name]
    if host not in names:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*names, host])


def _in_job(cluster: Cluster) -> TypeGuard[SlurmCluster]:
    return isinstance(cluster, SlurmCluster) and "SLURM_JOB_ID" in os.environ


def _in_parts() -> bool:
    return NODES_OF_PART.format(0) in os.environ


def _part_of(node: str) -> list[str]:
    """The option that names the node's part of a job in two parts; empty for any other job."""
    if not _in_parts():
        return []
    part = 1 if node in _expanded(os.environ[NODES_OF_PART.format(1)]) else 0
    return [f"--het-group={part}"]


def _named(variable: str, count: int, key: str) -> list[str]:
    """The nodes that an environment variable lists. Raises ErError unless they are `count`."""
    found = _expanded(os.environ.get(variable, ""))
    if len(found) != count:
        raise ErError(
            f"cluster.{key} is {count} and this job has {len(found)} such nodes: submit it with "
            "er.run"
        )
    return found


def _expanded(names: str) -> list[str]:
    """The names in Slurm's short form of a list of nodes, such as n[1-2]."""
    if "[" not in names:
        return [name for name in names.split(",") if name]
    command = ["scontrol", "show", "hostnames", names]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=EXPAND_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ErError(f"scontrol does not list the nodes of {names}: {error}") from error
    return done.stdout.split()
