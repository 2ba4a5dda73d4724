"""The schema of `deployment`, `model` and `hardware`."""

import re
from dataclasses import dataclass
from enum import Enum

from er.config.checks import require, require_positive


class Precision(Enum):
    """Number format of the weights; INT8 leaves activations in 16 bits, FP8 does not."""

    fp16 = "fp16"
    int8 = "int8"
    fp8 = "fp8"


TP_SIZES = (1, 2, 4, 8)  # that divide an 8-GPU node


@dataclass
class Model:
    """Shape of a decoder-only transformer with grouped-query attention."""

    name: str
    parameters: int
    embedding_parameters: int  # input embedding and output head: not quantised by weight-only INT8
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    title: str = ""  # for figures and tables; empty: the name

    def __post_init__(self) -> None:
        require_positive(self, "deployment.model", "parameters", "layers", "heads", "kv_heads")


# Of a fact of Table I: the paper, a conclusion from it, this project, or nowhere.
ORIGINS = ("paper", "inferred", "project", "unknown")


@dataclass
class Deployment:
    """A row of Table I: its engines, the GPUs of each, and whether a router is in front of them."""

    id: str
    model: Model
    precision: Precision
    tp: int
    experts: int
    labels: dict[str, str]  # where each fact comes from: one of ORIGINS
    # Identical engines that take turns (round robin); each counts as an expert.
    replicas: int = 1
    behind_gateway: bool = False  # put a gateway before a single engine, to measure its cost

    def __post_init__(self) -> None:
        require(
            bool(re.fullmatch(r"\w[\w.-]{0,63}", self.id)),
            f"deployment.id is {self.id!r}: give letters, digits, dots and dashes",
        )
        require(
            self.tp in TP_SIZES,
            f"deployment.tp is {self.tp}: tensor parallelism is 1, 2, 4 or 8 on an 8-GPU node",
        )
        require_positive(self, "deployment", "experts", "replicas")
        require(
            self.replicas == 1 or self.experts in (1, self.replicas),
            f"deployment.replicas is {self.replicas} and deployment.experts {self.experts}: only a "
            "deployment of one engine is replicated, leave one of the two at 1",
        )
        self.experts = max(self.experts, self.replicas)
        for fact, origin in self.labels.items():
            require(
                origin in ORIGINS,
                f"deployment.labels.{fact} is {origin}: name the origin of the fact, "
                f"{', '.join(ORIGINS)}",
            )

    @property
    def routed(self) -> bool:
        """Whether prompts pass through the gateway."""
        return self.experts > 1 or self.behind_gateway

    @property
    def gpus(self) -> int:
        """GPUs that the deployment occupies."""
        return self.tp * self.experts


@dataclass
class Hardware:
    """A GPU node."""

    name: str
    gpus: int
    memory_bytes: int  # of one GPU, as a process sees it
    memory_bandwidth_bytes_per_s: float  # of one GPU

    def __post_init__(self) -> None:
        require_positive(self, "hardware", "gpus", "memory_bytes", "memory_bandwidth_bytes_per_s")
