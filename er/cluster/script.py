"""The batch script of a job: slurm/job.sh with its places filled in."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from er.config import ClockKind, Config, GpusBy, SlurmCluster
from er.config.run import IN_CONTAINER

MEASURE = "measure"
PURPOSES = {
    MEASURE: "measures deployment",
    "build": "builds the engine of deployment",
    "preflight": "looks whether a node can build and serve deployment",
}
TEMPLATE = Path(__file__).parents[1] / "slurm" / "job.sh"


@dataclass(frozen=True)
class Places:
    """Where things are, as absolute paths that the nodes see too."""

    attempt: Path
    python: Path
    code: Path
    working_dir: Path  # relative paths of the configuration are seen from here


def render(
    config: Config,
    name: str,
    places: Places,
    command: Sequence[str],
    action: str = MEASURE,
    purpose: str = "",
) -> str:
    """The script that runs `python COMMAND`, as sbatch takes it; `name` is unique.

    `action`: a key of PURPOSES; a job that does not measure needs one node of those that a
    deployment is served by. `purpose` stands at its head in place of that of the action.
    """
    assert isinstance(config.cluster, SlurmCluster)
    lines = [f"#SBATCH {option}" for option in options(config, name, places, action)]
    if has_load_node(config) and action == MEASURE:
        lines += ["#SBATCH hetjob", *(f"#SBATCH {option}" for option in load_options(config))]
    values = {
        "PURPOSE": purpose or f"{PURPOSES[action]} {config.deployment.id}",
        "SBATCH": "\n".join(lines),
        "FOLDER": shlex.quote(str(places.attempt)),
        "PYTHON": shlex.quote(str(places.python)),
        "SETUP": "".join(f"  {shlex.quote(line)}\n" for line in config.cluster.setup),
        "CODE": shlex.quote(str(places.code)),
        "COMMAND": shlex.join(command),
    }
    return re.sub(r"@([A-Z]+)@", lambda place: values[place[1]], TEMPLATE.read_text())


def options(config: Config, name: str, places: Places, action: str) -> list[str]:
    """The options for sbatch."""
    cluster = config.cluster
    assert isinstance(cluster, SlurmCluster)
    count = nodes(config) if action == MEASURE else 1
    limit_min = time_limit_min(cluster, action)
    stop_before_s = min(cluster.stop_before_s, 60 * limit_min // 2)  # a build needs no more
    lines = [
        f"--job-name={name}",
        f"--comment={name}",
        shlex.quote(f"--chdir={places.working_dir}"),
        shlex.quote(f"--output={str(places.attempt).replace('%', '%%')}/slurm.log"),
        "--open-mode=append",
        f"--nodes={count}",
        f"--ntasks={count}",
        f"--time={limit_min}",
        f"--signal=B:TERM@{cluster.stop_before_s if action == MEASURE else stop_before_s}",
        "--requeue" if cluster.requeue else "--no-requeue",
    ]
    lines += resources(cluster, cluster.partition)
    lines += gpus(config, cluster)
    return [*lines, *cluster.sbatch]


def time_limit_min(cluster: SlurmCluster, action: str) -> int:
    """A job's time limit; none is longer than that of a job that measures."""
    limits = {
        "build": cluster.build_time_limit_min,
        "preflight": cluster.preflight_time_limit_min,
    }
    return min(limits.get(action, cluster.time_limit_min), cluster.time_limit_min)


def has_load_node(config: Config) -> bool:
    """Whether the load generator gets nodes of its own; a prediction has none."""
    cluster, real = config.cluster, config.clock.kind is ClockKind.real
    return isinstance(cluster, SlurmCluster) and cluster.load_node and real


def nodes(config: Config) -> int:
    """The nodes that serve; a prediction needs one."""
    real = config.clock.kind is ClockKind.real
    return config.cluster.nodes if isinstance(config.cluster, SlurmCluster) and real else 1


def load_options(config: Config) -> list[str]:
    """The options for the second part of a job: the load generator's nodes."""
    cluster = config.cluster
    assert isinstance(cluster, SlurmCluster)
    count = cluster.load_nodes
    lines = [f"--nodes={count}", f"--ntasks={count}", f"--time={cluster.time_limit_min}"]
    return [*lines, *resources(cluster, cluster.load_partition or cluster.partition)]


def resources(cluster: SlurmCluster, partition: str) -> list[str]:
    """What is requested of any node."""
    lines = [f"--partition={partition}"] if partition else []
    lines += [f"--account={cluster.account}"] if cluster.account else []
    lines += [f"--qos={cluster.qos}"] if cluster.qos else []
    lines += ["--exclusive"] if cluster.exclusive else []
    lines += [f"--cpus-per-task={cluster.cpus}"] if cluster.cpus else []
    lines += [f"--mem={cluster.memory}"] if cluster.memory else []
    return lines


def gpus_needed(config: Config) -> int:
    """GPUs that a job needs on each node: none for simulated engines and predictions."""
    return config.deployment.gpus // nodes(config) if config.engine.kind in IN_CONTAINER else 0


def gpus(config: Config, cluster: SlurmCluster) -> list[str]:
    """How GPUs are requested at this site."""
    count = gpus_needed(config)
    kind = f"{cluster.gpu_type}:" if cluster.gpu_type else ""
    match cluster.gpus_by:
        case GpusBy.gpus_per_node if count:
            return [f"--gpus-per-node={kind}{count}"]
        case GpusBy.gres if count:
            return [f"--gres=gpu:{kind}{count}"]
    return []
