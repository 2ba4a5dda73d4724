"""The schema of `cluster`: where jobs run. It decides no point."""

import re
from dataclasses import dataclass
from enum import Enum

from er.config.checks import require, require_positive

# Options that er itself gives: a second one would win over it, and er would lose the job.
OWN_OPTIONS = (
    "job-name", "comment", "output", "error", "open-mode", "chdir", "signal", "time", "parsable",
    "array", "dependency", "nodes", "ntasks", "wrap", "requeue", "no-requeue",
    "kill-on-invalid-dep",
)  # fmt: skip


class GpusBy(Enum):
    """How a site wants GPUs to be asked for."""

    gpus_per_node = "gpus_per_node"
    gres = "gres"
    none = "none"  # whole nodes come with theirs


@dataclass
class Cluster:
    """What every kind of cluster has."""

    kind: str


@dataclass
class LaptopCluster(Cluster):
    """This machine."""

    def __post_init__(self) -> None:
        require(self.kind == "laptop", f"cluster.kind is {self.kind}: choose with cluster=...")


@dataclass
class SlurmCluster(Cluster):
    """A site with Slurm; what is empty is not asked for."""

    partition: str
    account: str
    qos: str
    time_limit_min: int
    stop_before_s: int  # TERM comes so long before the time limit
    finish_requests_s: float  # so long after TERM may the requests in flight end
    gpus_by: GpusBy
    gpu_type: str
    exclusive: bool
    cpus: int  # 0: all of an exclusive node
    memory: str  # as sbatch --mem takes it
    nodes: int  # that serve: the experts are spread over them evenly
    load_node: bool  # the load generator on a node of its own, in a job of two parts
    load_nodes: int  # with load_node: on so many, whose clocks are compared
    load_partition: str  # of these nodes; empty: that of the others
    requeue: bool
    setup: list[str]  # lines of shell before er starts
    sbatch: list[str]  # further options
    answer_timeout_s: float  # of every call of Slurm

    def __post_init__(self) -> None:
        require(self.kind == "slurm", f"cluster.kind is {self.kind}: choose with cluster=...")
        require_positive(self, "cluster", "time_limit_min", "stop_before_s", "answer_timeout_s")
        require_positive(self, "cluster", "nodes", "load_nodes")
        require(
            self.load_node or self.load_nodes == 1,
            f"cluster.load_nodes is {self.load_nodes} and cluster.load_node is false: set it true",
        )
        require(
            self.stop_before_s < 60 * self.time_limit_min,
            f"cluster.stop_before_s is {self.stop_before_s}, cluster.time_limit_min "
            f"{self.time_limit_min}: no time is left to measure",
        )
        require(
            self.cpus > 0 or (self.exclusive and self.cpus == 0),
            f"cluster.cpus is {self.cpus}: give the CPUs of a job, or cluster.exclusive=true",
        )
        require(
            0 <= self.finish_requests_s < self.stop_before_s,
            f"cluster.finish_requests_s is {self.finish_requests_s:g}: give less than "
            f"cluster.stop_before_s, {self.stop_before_s}; 0 ends requests in flight at once",
        )
        for name in ("partition", "load_partition", "account", "qos", "gpu_type", "memory"):
            value = getattr(self, name)
            require(
                re.fullmatch(r"[\w.,:@+-]*", value) is not None,
                f"cluster.{name} is '{value}': Slurm has no such name",
            )
        for option in self.sbatch:
            name = option.removeprefix("--").partition("=")[0]
            require(
                option.startswith("--") and "\n" not in option,
                f"cluster.sbatch has '{option}': give options as --name=value",
            )
            require(
                name not in OWN_OPTIONS,
                f"cluster.sbatch has {option}: er gives --{name} itself, see the keys of cluster",
            )
        for line in self.setup:
            require("\n" not in line, f"cluster.setup has '{line}': give one line of shell each")
