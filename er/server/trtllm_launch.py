"""Assign GPUs to the engines of a deployment, and describe the programs that serve them.

In the engine flow, an engine with one rank is served by one tritonserver. One with several ranks is
served in leader mode: a tritonserver for each rank of one MPI world, the first of which answers.
With the LLM API there is one tritonserver, whose model starts the ranks itself; under Slurm, it
uses the other tasks as ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from er.config.trtllm import ContainerEngine, LlmapiEngine, Runtime
from er.process import container, cores, shared_memory
from er.process.launch import Launch, Mpi, unique
from er.process.visible import visible_gpus
from er.server.ports import Ports

NO_PORTS = ["--allow-http=false", "--allow-grpc=false", "--allow-metrics=false"]
# A task reads its number when it runs: from Open MPI's mpirun, otherwise from Slurm.
RANK = "${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID}"


@dataclass(frozen=True)
class Place:
    """One engine: its node, its GPUs there, and the ports of its leader."""

    name: str
    gpus: tuple[int, ...]
    ports: Ports
    node: str = ""  # empty: this machine


def places(names: Sequence[str], tp: int, ports: Sequence[Ports], node: str = "") -> list[Place]:
    """Place engines side by side on this node, each on `tp` GPUs of its own.

    `node` is the name of this node if the job has several. Raises ErError when too few GPUs are
    visible here.
    """
    gpus = visible_gpus(tp * len(names))
    return [
        Place(name, tuple(gpus[index * tp : (index + 1) * tp]), ports[index], node)
        for index, name in enumerate(names)
    ]


def launch(
    engine: ContainerEngine, place: Place, repository: Path, mounts: Sequence[Path], log: Path
) -> Launch:
    """The launch that serves one engine from its model repository."""
    command, tasks, mpi = served(engine, place, repository)
    started = Launch(
        name=unique(place.name),
        command=tuple(command),
        log=log,
        node=place.node,
        tasks=tasks,
        mpi=mpi,
        cpus=engine.container.cpus_per_gpu * len(place.gpus),
        cpu_list=cores.cpu_list(cores.chosen()),
        gpus=place.gpus,
        image=engine.container.image,
        mounts=tuple(mounts),
    )
    return container.at_site(started, engine.container)


def served(engine: ContainerEngine, place: Place, repository: Path) -> tuple[list[str], int, Mpi]:
    """Command, number of tasks and kind of MPI for one engine."""
    ranks = len(place.gpus)
    if isinstance(engine, LlmapiEngine):
        server = tritonserver(engine, place, repository, "0", leader=True)
        if ranks > 1 and engine.container.runtime is Runtime.pyxis:
            return ["trtllm-llmapi-launch", *server], ranks, Mpi.ranks
        return server, 1, Mpi.spawns
    if ranks == 1:
        return tritonserver(engine, place, repository, "0", leader=True), 1, Mpi.alone
    leader = " ".join(tritonserver(engine, place, repository, "${rank}", leader=True))
    worker = " ".join(tritonserver(engine, place, repository, "${rank}", leader=False))
    script = f"rank={RANK}; if [ $rank = 0 ]; then exec {leader}; else exec {worker}; fi"
    return ["bash", "-c", script], ranks, Mpi.ranks


def tritonserver(
    engine: ContainerEngine, place: Place, repository: Path, rank: str, *, leader: bool
) -> list[str]:
    """The command line of one rank's tritonserver; the leader loads every model and answers."""
    line = [engine.tritonserver, f"--model-repository={repository}"]
    line += ["--disable-auto-complete-config"]
    line += [f"--backend-config=python,shm-region-prefix-name={shm_prefix(place)}{rank}_"]
    if len(place.gpus) > 1:
        # Otherwise the Triton of each rank opens a context and a pool on the GPUs of all others.
        line += [f"--cuda-memory-pool-byte-size={gpu}:0" for gpu in range(len(place.gpus))]
        line += ["--enable-peer-access=false"]
    if leader:
        line += place.ports.flags()
    else:
        line += ["--model-control-mode=explicit", "--load-model=tensorrt_llm", *NO_PORTS]
    return [*line, "--exit-timeout-secs=5"]


def shm_prefix(place: Place) -> str:
    """The prefix of the names of an engine's files in /dev/shm."""
    return shared_memory.prefix(str(place.ports.http))
