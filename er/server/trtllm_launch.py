"""Which GPUs each engine of a deployment gets, and the commands that serve it there.

Engine flow: an engine of one rank is one tritonserver; one of several is served in leader mode,
one tritonserver for each rank under MPI, of which the first answers. LLM API: one tritonserver,
whose model starts the ranks itself, as MPI processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from er.config.trtllm import ContainerEngine, LlmapiEngine, Runtime
from er.process import container
from er.server.ports import Ports

UNHEARD = ["--allow-http=false", "--allow-grpc=false", "--allow-metrics=false"]


@dataclass(frozen=True)
class Place:
    """One engine: its GPUs, and the ports of its leader."""

    name: str
    gpus: tuple[int, ...]
    ports: Ports


def places(names: Sequence[str], tp: int, ports: Sequence[Ports]) -> list[Place]:
    """Engines side by side on one node, each on `tp` GPUs of its own."""
    return [
        Place(name, tuple(range(index * tp, (index + 1) * tp)), ports[index])
        for index, name in enumerate(names)
    ]


def command(
    engine: ContainerEngine, place: Place, repository: Path, binds: list[Path]
) -> list[str]:
    """The command line that serves one engine from its model repository."""
    if isinstance(engine, LlmapiEngine):
        return llm_api(engine, place, repository, binds)
    several = len(place.gpus) > 1
    if several and engine.container.runtime is Runtime.pyxis:
        return under_slurm(engine, place, repository, binds)
    ranks = [
        tritonserver(engine, place, repository, str(rank), leader=rank == 0)
        for rank in range(len(place.gpus))
    ]
    inner = under_mpi(ranks) if several else ranks[0]
    return container.inside(engine.container, inner, binds=binds, gpus=place.gpus, env={})


def llm_api(engine: LlmapiEngine, place: Place, repository: Path, binds: list[Path]) -> list[str]:
    """One tritonserver, whose model starts the ranks; under Slurm they are tasks of one srun."""
    server = tritonserver(engine, place, repository, "0", leader=True)
    slurm = engine.container.runtime is Runtime.pyxis

    def started(inner: list[str]) -> list[str]:
        return container.inside(engine.container, inner, binds=binds, gpus=place.gpus, env={})

    if slurm and len(place.gpus) > 1:
        return tasks(started(["trtllm-llmapi-launch", *server]), len(place.gpus))
    # Slurm gave mpirun one slot, and the model starts a process of its own.
    more = ["--oversubscribe"] if slurm else []
    return started(["mpirun", "--allow-run-as-root", *more, "-n", "1", *server])


def tasks(srun: list[str], count: int) -> list[str]:
    """An srun of one task as one of several that MPI joins."""
    return [srun[0], "--mpi=pmix", f"--ntasks={count}", *srun[2:]]


def under_mpi(ranks: list[list[str]]) -> list[str]:
    """One mpirun of different command lines."""
    line = ["mpirun", "--allow-run-as-root"]
    for rank, arguments in enumerate(ranks):
        line += [":"] * (rank > 0) + ["-n", "1", *arguments]
    return line


def under_slurm(
    engine: ContainerEngine, place: Place, repository: Path, binds: list[Path]
) -> list[str]:
    """One srun whose tasks are the ranks; each knows its own only when it runs."""
    rank = "${SLURM_PROCID}"
    leader = " ".join(tritonserver(engine, place, repository, rank, leader=True))
    worker = " ".join(tritonserver(engine, place, repository, rank, leader=False))
    script = f"if [ {rank} = 0 ]; then exec {leader}; else exec {worker}; fi"
    inner = container.inside(
        engine.container, ["bash", "-c", script], binds=binds, gpus=place.gpus, env={}
    )
    return tasks(inner, len(place.gpus))


def tritonserver(
    engine: ContainerEngine, place: Place, repository: Path, rank: str, *, leader: bool
) -> list[str]:
    """The command line of one rank's tritonserver; the leader loads every model and answers."""
    line = [engine.tritonserver, f"--model-repository={repository}"]
    line += ["--disable-auto-complete-config"]
    line += [f"--backend-config=python,shm-region-prefix-name={shm_prefix(place)}{rank}_"]
    if leader:
        line += place.ports.flags()
    else:
        line += ["--model-control-mode=explicit", "--load-model=tensorrt_llm", *UNHEARD]
    return [*line, "--exit-timeout-secs=5"]


def shm_prefix(place: Place) -> str:
    """What the names of an engine's files in /dev/shm begin with."""
    return f"er_{place.ports.http}_"
