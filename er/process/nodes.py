"""The nodes of a job: where servers are reached, and how the load generator starts elsewhere."""

import os
import socket
import subprocess

from er.config import Cluster, SlurmCluster
from er.errors import ErError

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 60
NODES = "SLURM_JOB_NODELIST_HET_GROUP_{}"  # of a job in two parts: 0 serves, 1 sends


def load_node(cluster: Cluster) -> str:
    """The node of the load generator; empty where that is this one.

    Raises ErError in a job that was to have one and has not.
    """
    wanted = isinstance(cluster, SlurmCluster) and cluster.load_node
    if not wanted or "SLURM_JOB_ID" not in os.environ:
        return ""
    node = os.environ.get(NODES.format(1), "")
    if not node:
        raise ErError(
            "cluster.load_node is true and this job has no second part with a node for the load "
            "generator: submit it with er.run"
        )
    return node


def host(cluster: Cluster) -> str:
    """Where what serves here is reached from the load generator."""
    return socket.gethostname() if load_node(cluster) else LOOPBACK


def load_step(cluster: Cluster) -> list[str]:
    """What starts a command on the node of the load generator; empty where that is this one.

    Its standard input and output are those of srun, bytes as they are.
    """
    if not load_node(cluster):
        return []
    return [
        "srun", "--het-group=1", "--nodes=1", "--ntasks=1", "--overlap", "--cpu-bind=none",
        "--mem=0", "--mpi=none", "--unbuffered", "--kill-on-bad-exit=1", "--quiet",
        f"--immediate={START_TIMEOUT_S}",
    ]  # fmt: skip


def run_there(step: list[str], command: list[str], timeout_s: float) -> None:
    """Run a command by a step. Raises ErError, with its last line, when it fails."""
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
