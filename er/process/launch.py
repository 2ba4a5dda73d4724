"""A program to be started on a node, as a value that launchers turn into a command line."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Mpi(Enum):
    """How the processes of a program form an MPI world; TensorRT-LLM needs one in every process.

    alone: the process is a world of its own, unless Slurm starts it.
    ranks: the tasks are one world, which the launcher makes.
    spawns: the program starts ranks of its own, which only works under mpirun.
    """

    alone = "alone"
    ranks = "ranks"
    spawns = "spawns"


@dataclass(frozen=True)
class Launch:
    """One program, in the container, on one node."""

    name: str  # unique on the node and in the Slurm job: the launch is ended by this name
    command: tuple[str, ...]  # of every task
    log: Path
    node: str = ""  # empty: this machine
    tasks: int = 1
    mpi: Mpi = Mpi.alone
    pmi: str = "pmix"  # with which Slurm makes a world of its tasks
    cpus: int = 1  # of all tasks together
    cpu_list: str = ""  # the CPUs that they may use, such as 0-51; empty: any
    memory_bytes: int = 0  # 0: all of the node
    gpus: tuple[int, ...] = ()  # numbers on the node; every task sees all of them
    image: str = ""  # name in a registry, or a file; ignored without a container
    mounts: tuple[Path, ...] = ()  # seen in the container under the same paths
    environment: Mapping[str, str] = field(default_factory=dict)


def unique(name: str) -> str:
    """A unique name for a launch."""
    return f"er-{uuid.uuid4().hex[:12]}-{name}"


def mpirun(launch: Launch) -> list[str]:
    """The command under Open MPI's mpirun, for launchers that do not start ranks themselves.

    `--bind-to none`, since Open MPI would bind up to two ranks to one core each, with all their
    threads and children. `--oversubscribe`, since it counts one slot for each task of Slurm.
    """
    if launch.mpi is Mpi.alone:
        return list(launch.command)
    start = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
    return [*start, "-n", str(launch.tasks), *launch.command]


def visible(launch: Launch) -> dict[str, str]:
    """The environment of a launch, with the GPUs that it may see."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.gpus)), **launch.environment}


def assignments(variables: Mapping[str, str]) -> list[str]:
    """NAME=VALUE for each variable."""
    return [f"{name}={value}" for name, value in variables.items()]


def folders(launch: Launch) -> list[str]:
    """The absolute paths that are mounted: a relative path would mean another folder elsewhere."""
    return [str(path.absolute()) for path in launch.mounts]
