"""A program to be started on a node, as a value; a launcher makes a command line of it last."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Mpi(Enum):
    """Who gives the program its MPI: TensorRT-LLM initialises it in every process.

    alone: it makes a world of one by itself, unless Slurm starts it.
    ranks: its tasks are one world, which the launcher makes.
    spawns: it starts ranks of its own, as only mpirun lets it.
    """

    alone = "alone"
    ranks = "ranks"
    spawns = "spawns"


@dataclass(frozen=True)
class Launch:
    """One program, in the container, on one node."""

    name: str  # by which it is ended: no other on the node, or in the Slurm job, has it
    command: tuple[str, ...]  # of every task
    log: Path
    node: str = ""  # empty: this machine
    tasks: int = 1
    mpi: Mpi = Mpi.alone
    pmi: str = "pmix"  # by which Slurm makes a world of its tasks
    cpus: int = 1  # of all tasks together
    cpu_list: str = ""  # the CPUs that they may use, such as 0-51; empty: any
    memory_bytes: int = 0  # 0: all that the node has
    gpus: tuple[int, ...] = ()  # by the node's numbers; every task sees all of them
    image: str = ""  # a registry's name, or a file; not looked at without a container
    mounts: tuple[Path, ...] = ()  # seen under the same names
    environment: Mapping[str, str] = field(default_factory=dict)


def unique(name: str) -> str:
    """A name for a launch that no other has."""
    return f"er-{uuid.uuid4().hex[:12]}-{name}"


def mpirun(launch: Launch) -> list[str]:
    """The command under Open MPI's mpirun, where the launcher itself does not start ranks.

    Open MPI binds up to two ranks to one core each, with all their threads and children; hence
    `--bind-to none`. Inside Slurm it counts one slot for each task; hence `--oversubscribe`.
    """
    if launch.mpi is Mpi.alone:
        return list(launch.command)
    start = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
    return [*start, "-n", str(launch.tasks), *launch.command]


def visible(launch: Launch) -> dict[str, str]:
    """The environment, with the GPUs that the program may see."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.gpus)), **launch.environment}


def assignments(variables: Mapping[str, str]) -> list[str]:
    """NAME=VALUE for each."""
    return [f"{name}={value}" for name, value in variables.items()]


def folders(launch: Launch) -> list[str]:
    """What is mounted, absolute: a relative folder would be another one elsewhere."""
    return [str(path.absolute()) for path in launch.mounts]
