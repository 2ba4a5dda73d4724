"""The schema of `cluster`: where jobs run. Only networks between nodes can change a point."""

import re
from dataclasses import dataclass
from enum import Enum

from er.config.checks import require, require_positive

# Options that er gives itself. A second one would take precedence, and er would lose track of the
# job.
RESERVED_OPTIONS = (
    "job-name", "comment", "output", "error", "open-mode", "chdir", "signal", "time", "parsable",
    "array", "dependency", "nodes", "ntasks", "wrap", "requeue", "no-requeue",
    "kill-on-invalid-dep",
)  # fmt: skip


class GpusBy(Enum):
    """Which option of sbatch requests GPUs at a site."""

    gpus_per_node = "gpus_per_node"
    gres = "gres"
    none = "none"  # no option: whole nodes come with their GPUs


@dataclass
class Cluster:
    """Settings of every kind of cluster."""

    kind: str


@dataclass
class LaptopCluster(Cluster):
    """This machine."""

    def __post_init__(self) -> None:
        require(self.kind == "laptop", f"cluster.kind is {self.kind}: choose with cluster=...")


@dataclass
class SlurmCluster(Cluster):
    """A site with Slurm. Empty settings are not passed to sbatch."""

    partition: str
    account: str
    qos: str
    time_limit_min: int
    build_time_limit_min: int  # of a job that builds an engine, if shorter
    preflight_time_limit_min: int  # of a job that looks at a node, if shorter
    stop_before_s: int  # TERM is sent this long before the time limit
    finish_requests_s: float  # requests in flight may go on for this long after TERM
    gpus_by: GpusBy
    gpu_type: str
    exclusive: bool
    cpus: int  # 0: all of an exclusive node
    memory: str  # as sbatch --mem takes it
    nodes: int  # number of nodes that serve: the experts are spread over them evenly
    load_node: bool  # run the load generator on nodes of its own, in a job of two parts
    load_nodes: int  # with load_node: the number of its nodes, whose clocks are compared
    load_partition: str  # partition of its nodes; empty: the same as of the others
    requeue: bool
    setup: list[str]  # lines of shell that run before er starts
    sbatch: list[str]  # further options of sbatch
    answer_timeout_s: float  # for every command of Slurm

    def __post_init__(self) -> None:
        require(self.kind == "slurm", f"cluster.kind is {self.kind}: choose with cluster=...")
        require_positive(self, "cluster", "time_limit_min", "stop_before_s", "answer_timeout_s")
        require_positive(self, "cluster", "build_time_limit_min", "preflight_time_limit_min")
        require_positive(self, "cluster", "nodes", "load_nodes")
        self._check_resources()
        self._check_names()
        self._check_lines()

    def _check_resources(self) -> None:
        """Time, nodes and CPUs."""
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

    def _check_names(self) -> None:
        for name in ("partition", "load_partition", "account", "qos", "gpu_type", "memory"):
            value = getattr(self, name)
            require(
                re.fullmatch(r"[\w.,:@+-]*", value) is not None,
                f"cluster.{name} is '{value}': Slurm has no such name",
            )

    def _check_lines(self) -> None:
        """Options of sbatch and lines of shell, which go into the batch script as they are."""
        for option in self.sbatch:
            name = option.removeprefix("--").partition("=")[0]
            require(
                option.startswith("--") and "\n" not in option,
                f"cluster.sbatch has '{option}': give options as --name=value",
            )
            require(
                name not in RESERVED_OPTIONS,
                f"cluster.sbatch has {option}: er gives --{name} itself, see the keys of cluster",
            )
        for line in self.setup:
            require("\n" not in line, f"cluster.setup has '{line}': give one line of shell each")
