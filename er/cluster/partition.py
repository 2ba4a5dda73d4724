"""What a partition has, asked of Slurm before anything is submitted."""

import re
from dataclasses import dataclass

from er.cluster.calls import call
from er.cluster.script import MEASURE, gpus_needed, time_limit_min
from er.config import Config, SlurmCluster
from er.errors import ConfigError


@dataclass(frozen=True)
class Partition:
    """The most that a job can have in it."""

    name: str
    minutes: float  # infinite where it has no limit
    gpus: int  # of its largest node


def require_room(config: Config, action: str = MEASURE) -> None:
    """Raise ConfigError for more time or more GPUs than the partition has."""
    cluster = config.cluster
    assert isinstance(cluster, SlurmCluster)
    chosen = [f"--partition={cluster.partition}"] if cluster.partition else []
    command = ["sinfo", "--noheader", *chosen, "--format=%P|%l|%G"]
    found = partitions(call(command, cluster.answer_timeout_s))
    if not found:
        raise ConfigError(f"cluster.partition is {cluster.partition}: sinfo knows no such one")
    names = ", ".join(sorted({partition.name for partition in found}))
    longest = max(partition.minutes for partition in found)
    if time_limit_min(cluster, action) > longest:
        key = "time_limit_min" if action == MEASURE else f"{action}_time_limit_min"
        raise ConfigError(f"cluster.{key} is {getattr(cluster, key)}: {names} allows {longest:g}")
    most, need = max(partition.gpus for partition in found), gpus_needed(config)
    if need > most and cluster.gpus_by.value != "none":
        raise ConfigError(
            f"deployment.{config.deployment.id} needs {need} GPUs on one node: nodes of {names} "
            f"have up to {most}"
        )


def partitions(text: str) -> list[Partition]:
    """From lines of name, time limit and generic resources, as sinfo writes them."""
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 2]
    usual = [row for row in rows if row[0].endswith("*")]  # of several, Slurm marks its default
    return [
        Partition(name.rstrip("*"), minutes(limit), gpus(gres))
        for name, limit, gres in usual or rows
    ]


def minutes(limit: str) -> float:
    """Parse Slurm's [days-]hours:minutes:seconds, or minutes:seconds."""
    if limit in ("infinite", "UNLIMITED"):
        return float("inf")
    days, _, clock = limit.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part)
    return 1440 * float(days or 0) + seconds / 60


def gpus(gres: str) -> int:
    """GPUs of one node, parsed from text such as `gpu:h100:8(S:0-1),nvme:1`."""
    bare = re.sub(r"\([^)]*\)", "", gres)
    counts = [entry.split(":")[-1] for entry in bare.split(",") if entry.startswith("gpu")]
    return sum(int(count) for count in counts if count.isdigit())
