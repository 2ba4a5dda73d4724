"""The schema of one run, and what must hold between its parts."""

import re
from dataclasses import dataclass, field
from enum import Enum

from er.config.capacity import Capacity
from er.config.checks import require, require_folder, require_store
from er.config.cluster import Cluster
from er.config.deployment import Deployment, Hardware
from er.config.engine import Engine
from er.config.gateway import Gateway
from er.config.load import Arrivals, Load, LoadClient
from er.config.plain import plain
from er.config.routing import Corpus, Policy, Routing
from er.config.serving import Server
from er.config.title import title
from er.config.workload import MultiTurnWorkload, Workload

# Of runs_dir, not studies.
RESERVED_FOLDERS = ("figures", "mlartifacts", "routers", "served", "sweeps")
IN_CONTAINER = ("trtllm", "llmapi")  # engines that the TensorRT-LLM container's Triton serves


def names_study(name: str) -> bool:
    """Whether a study can be called so: its runs go into a folder of this name, and er.report and
    er.bundle take it as an argument, which is neither an option nor KEY=VALUE."""
    possible = re.fullmatch(r"(?![\s-])[^/=\x00-\x1f]{1,100}(?<!\s)", name)
    return bool(possible) and name not in (".", "..", *RESERVED_FOLDERS)


class ClockKind(Enum):
    """Real time, or a virtual clock on which everything is predicted."""

    real = "real"
    virtual = "virtual"


@dataclass
class Failure:
    """An expert that fails for good, `at_s` seconds after the start of every point."""

    expert: int
    at_s: float

    def __post_init__(self) -> None:
        require(
            0 <= self.at_s < float("inf"),
            f"clock.failures has at_s {self.at_s:g}: an expert fails 0 or more seconds after the "
            "start of a point",
        )


@dataclass
class Clock:
    """Real or virtual time, and what a prediction adds to the time of the engines."""

    kind: ClockKind
    gateway_s: float  # the gateway's service time for one request; it handles one at a time
    request_s: float  # from the user to the engine
    reply_s: float  # from the engine to the user, for every token
    failures: list[Failure] = field(default_factory=list)  # on the virtual clock only

    def __post_init__(self) -> None:
        for name in ("gateway_s", "request_s", "reply_s"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"clock.{name} is {value}: a delay is 0 or more")
        require(
            self.kind is ClockKind.virtual or not self.failures,
            "clock.failures needs clock=virtual: nothing real is made to fail",
        )
        experts = [failure.expert for failure in self.failures]
        for expert in experts:
            require(
                experts.count(expert) == 1,
                f"clock.failures names expert {expert} twice: an expert fails once, for good",
            )


@dataclass
class Tracking:
    """Where runs are published."""

    enabled: bool
    uri: str

    def __post_init__(self) -> None:
        require(
            bool(self.uri),
            "tracking.uri is empty: give sqlite:///FILE or the address of an MLflow server, or "
            "tracking.enabled=false",
        )
        require_store(self.uri, "tracking.uri")
        require(
            not (self.enabled and self.uri.startswith("sqlite:") and {"?", "%"} & set(self.uri)),
            f"tracking.uri is {self.uri}: ? and % mean something else in an address: give another "
            "file, or another runs_dir where it lies in there",
        )


@dataclass
class Config:
    """One run: one deployment, measured or predicted at each concurrency of a ladder."""

    study: str  # runs of one study are compared: an experiment in MLflow, a folder of runs
    figures: list[str]  # modules of paper_figures to draw
    seed: int
    runs_dir: str
    cache_dir: str
    clock: Clock
    hardware: Hardware
    deployment: Deployment
    engine: Engine
    server: Server
    gateway: Gateway
    corpus: Corpus
    routing: Routing
    workload: Workload
    load: Load
    tracking: Tracking
    cluster: Cluster
    capacity: Capacity | None = None
    repeats: int = 1  # number of jobs made of this one, each with the next seed

    @property
    def title(self) -> str:
        """What the run is called in tables and figures; see er.config.title."""
        return title(plain(self))

    def __post_init__(self) -> None:
        self._check_run()
        if self.deployment.replicas > 1:
            self.routing.policy = Policy.round_robin
            self.routing.clusters = self.deployment.experts
        self._check_gpus()
        self._check_routing()
        self._check_engine()
        self._check_clock()
        self._check_load()
        self._check_conversations()

    def _check_run(self) -> None:
        require(0 <= self.seed < 2**32, f"seed is {self.seed}: give 0 to 4294967295")
        require(self.repeats >= 1, f"repeats is {self.repeats}: give 1 or more")
        require(
            names_study(self.study),
            f"study is {self.study!r}: give a name that can be a folder's and an argument's (no - "
            "at its begin, no =), and is none of "
            f"{', '.join(RESERVED_FOLDERS)}",
        )
        for name in ("runs_dir", "cache_dir"):
            require_folder(getattr(self, name), name)

    def _check_routing(self) -> None:
        shares = len(self.routing.shares)
        require(
            not self.deployment.routed or shares in (0, self.deployment.experts),
            f"routing.shares has {shares} weights, deployment.{self.deployment.id} "
            f"{self.deployment.experts} experts: give one for each",
        )

    def _check_engine(self) -> None:
        require(
            self.clock.kind is ClockKind.real or self.engine.kind == "simulated",
            f"clock=virtual needs engine=simulated: nothing predicts engine={self.engine.kind}",
        )
        served = "container" if self.engine.kind in IN_CONTAINER else "embedded"
        require(
            self.server.kind == served,
            f"engine={self.engine.kind} needs server={served}, server.kind is {self.server.kind}",
        )
        real, small = self.engine.kind == "smollm2", self.deployment.model.name == "smollm2_135m"
        require(
            real == small,
            f"engine={self.engine.kind} cannot run deployment.model {self.deployment.model.name}: "
            "engine=smollm2 and deployment=smollm2 go together",
        )

    def _check_clock(self) -> None:
        require(
            self.clock.kind is ClockKind.virtual or not self.capacity,
            "capacity needs clock=virtual: a search is not measured, see load.find_knee",
        )
        for failure in self.clock.failures:
            require(
                0 <= failure.expert < self.deployment.experts,
                f"clock.failures names expert {failure.expert}, deployment.{self.deployment.id} "
                f"has {self.deployment.experts}, numbered from 0",
            )

    def _check_load(self) -> None:
        require(
            self.load.client is not LoadClient.grpc or not self.deployment.routed,
            f"load.client=grpc cannot reach deployment.{self.deployment.id}: its gateway speaks "
            "HTTP: choose load.client=sockets",
        )
        require(
            not getattr(self.cluster, "load_node", False) or self.load.client is LoadClient.sockets,
            f"cluster.load_node needs load.client=sockets, not {self.load.client.value}: only "
            "its workers start on another node",
        )

    def _check_gpus(self) -> None:
        """The experts must divide evenly over the nodes that serve, and fit the GPUs of each.

        Not where they run already, somewhere else: `er.config.runnable` keeps such experts
        from the commands that start their own.
        """
        if self.gateway.experts:
            return
        deployment, nodes = self.deployment, getattr(self.cluster, "nodes", 1)
        require(
            deployment.experts % nodes == 0,
            f"cluster.nodes is {nodes}, deployment.{deployment.id} has {deployment.experts} "
            "experts: give nodes that share them evenly",
        )
        need, have = deployment.gpus // nodes, self.hardware.gpus
        require(
            need <= have,
            f"deployment.{deployment.id} needs {need} GPUs (tp x experts or replicas"
            f"{f', over {nodes} nodes' if nodes > 1 else ''}), "
            f"hardware.{self.hardware.name} has {have}",
        )

    def _check_conversations(self) -> None:
        """In a closed loop, every user needs prompts for at least one whole conversation."""
        load, workload = self.load, self.workload
        if not isinstance(workload, MultiTurnWorkload) or load.duration_s:
            return
        users, turns = load.concurrency[-1], workload.turns.at_most
        requests = max(users * load.requests_per_user, load.requests_at_least)
        require(
            load.arrivals is not Arrivals.closed_loop or requests >= users * turns,
            f"{users} users cannot each end a conversation of {turns} turns in {requests} prompts: "
            f"set load.requests_per_user to {turns} or more, or lower workload.turns.at_most",
        )
