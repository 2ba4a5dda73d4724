"""The schema of `conf/`: what can be chosen, checked once, before anything starts.

Values live in `conf/`; these classes hold names, types and rules. Fields without a default are
mandatory in YAML. `compose` in `er.sweep` turns YAML into a `Config`.
"""

from dataclasses import dataclass, field
from enum import Enum

from er.errors import ConfigError


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


def require_positive(owner: object, place: str, *names: str) -> None:
    """Each named field of `owner`, found at `place` in the configuration, must be above zero."""
    for name in names:
        value = getattr(owner, name)
        require(value > 0, f"{place}.{name} is {value}: give a value above 0")


class Precision(Enum):
    """Number format of the weights; activations stay in 16 bits."""

    fp16 = "fp16"
    int8 = "int8"


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

    def __post_init__(self) -> None:
        require_positive(self, "deployment.model", "parameters", "layers", "heads", "kv_heads")


@dataclass
class Deployment:
    """A row of Table I: which engines stand on which GPUs, and whether a router is before them."""

    id: str
    description: str
    model: Model
    precision: Precision
    tp: int
    experts: int
    labels: dict[str, str]  # where each fact comes from: paper, inferred or unknown

    def __post_init__(self) -> None:
        require(
            self.tp in (1, 2, 4, 8),
            f"deployment.tp is {self.tp}: tensor parallelism is 1, 2, 4 or 8 on an 8-GPU node",
        )
        require_positive(self, "deployment", "experts")

    @property
    def routed(self) -> bool:
        """Whether prompts pass through the gateway."""
        return self.experts > 1

    @property
    def gpus(self) -> int:
        """GPUs that the deployment occupies."""
        return self.tp * self.experts


@dataclass
class Hardware:
    """A GPU node."""

    name: str
    gpus: int
    memory_bytes: int  # of one GPU, as the driver reports it
    memory_bandwidth_bytes_per_s: float  # of one GPU

    def __post_init__(self) -> None:
        require_positive(self, "hardware", "gpus", "memory_bytes", "memory_bandwidth_bytes_per_s")


@dataclass
class Engine:
    """What every kind of engine has in common."""

    kind: str
    max_batch_size: int

    def __post_init__(self) -> None:
        require_positive(self, "engine", "max_batch_size")


def require_kind(engine: Engine, kind: str) -> None:
    """An engine's kind follows from its class; to change it, choose another engine."""
    require(engine.kind == kind, f"engine.kind is {engine.kind}: choose an engine with engine=...")


@dataclass
class SimulatedEngine(Engine):
    """A TensorRT-LLM engine played in real time from a table of step times."""

    max_num_tokens: int
    max_seq_len: int
    tokens_per_block: int
    kv_cache_free_gpu_mem_fraction: float
    activation_bytes: int  # per GPU, kept free of weights and KV cache
    step_time_scale: float
    host_overhead_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "simulated")
        require_positive(
            self, "engine", "max_num_tokens", "max_seq_len", "tokens_per_block", "step_time_scale"
        )
        fraction = self.kv_cache_free_gpu_mem_fraction
        require(
            0 < fraction <= 1,
            f"engine.kv_cache_free_gpu_mem_fraction is {fraction}: give a share in (0, 1]",
        )
        require(
            self.host_overhead_s >= 0 and self.activation_bytes >= 0,
            "engine.host_overhead_s and engine.activation_bytes cannot be negative",
        )


@dataclass
class SmolLM2Engine(Engine):
    """SmolLM2-135M-Instruct, run by llama.cpp on the CPU."""

    max_seq_len: int
    threads: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "smollm2")
        require_positive(self, "engine", "max_seq_len", "threads")


@dataclass
class Server:
    """How Triton is started."""

    kind: str
    ready_timeout_s: float
    stop_timeout_s: float
    http_port: int  # 0: any free port

    def __post_init__(self) -> None:
        require_positive(self, "server", "ready_timeout_s", "stop_timeout_s")
        require_port(self.http_port, "server.http_port")


@dataclass
class Gateway:
    """How the routing gateway is started."""

    port: int  # 0: any free port
    ready_timeout_s: float

    def __post_init__(self) -> None:
        require_positive(self, "gateway", "ready_timeout_s")
        require_port(self.port, "gateway.port")


def require_port(port: int, place: str) -> None:
    """A TCP port, or 0 for any free one."""
    require(0 <= port <= 65535, f"{place} is {port}: give a TCP port, or 0 for any free one")


@dataclass
class Corpus:
    """Prompts with topics, from a pinned package, a JSON Lines file or Hugging Face `datasets`."""

    name: str
    test_share: float
    per_file_at_most: int
    package: str = ""
    version: str = ""
    sha256: str = ""
    topics: dict[str, list[str]] = field(default_factory=dict)  # topic: files inside the package
    path: str = ""  # of a file with a line {"text": ..., "label": ...?} for each prompt
    dataset: str = ""
    subset: str = ""
    revision: str = "main"
    split: str = "train"
    text_column: str = "text"
    topic_column: str = ""

    def __post_init__(self) -> None:
        require(
            0 < self.test_share < 1,
            f"corpus.test_share is {self.test_share}: give a share between 0 and 1",
        )
        require_positive(self, "corpus", "per_file_at_most")
        require(
            sum(map(bool, (self.package, self.path, self.dataset))) == 1,
            f"corpus {self.name} needs one of corpus.package, corpus.path and corpus.dataset",
        )


@dataclass
class Routing:
    """How the k-means router is trained."""

    name: str
    clusters: int  # one for each expert
    components: int  # of the truncated SVD
    sublinear_tf: bool  # 1 + ln(count) in place of a term's count
    min_df: int  # a term occurs in at least this many prompts
    max_df: float  # and in at most this share of them
    starts: int  # fits, of which the tightest is kept
    keep_prices: bool  # balance the load at routing time too, not only while fitting

    def __post_init__(self) -> None:
        require_positive(self, "routing", "clusters", "components", "min_df", "starts")
        require(
            0 < self.max_df <= 1,
            f"routing.max_df is {self.max_df}: give a share in (0, 1]",
        )


@dataclass
class Lengths:
    """A distribution of token counts: a quantile table, scaled, then clipped."""

    percentiles: list[float]
    tokens: list[float]
    scale: float
    at_least: int
    at_most: int

    def __post_init__(self) -> None:
        place = "workload lengths"
        require(
            len(self.percentiles) == len(self.tokens) >= 2,
            f"{place}: percentiles and tokens must be two lists of one length, at least 2 long",
        )
        require(
            self.percentiles[0] == 0
            and self.percentiles[-1] == 100
            and self.percentiles == sorted(set(self.percentiles)),
            f"{place}: percentiles must rise from 0 to 100",
        )
        require(
            self.tokens == sorted(self.tokens) and self.tokens[0] > 0,
            f"{place}: tokens must be above 0 and must not fall",
        )
        require(self.scale > 0, f"{place}: scale is {self.scale}: give a value above 0")
        require(
            1 <= self.at_least <= self.at_most,
            f"{place}: at_least is {self.at_least}, at_most is {self.at_most}: "
            "need 1 <= at_least <= at_most",
        )


@dataclass
class Workload:
    """What users send and how much they ask for."""

    name: str
    description: str
    tokenizer: str
    input: Lengths
    output: Lengths


class LoadClient(Enum):
    """What carries the requests: aiohttp, or plain sockets in processes of their own."""

    aiohttp = "aiohttp"
    sockets = "sockets"


class Arrivals(Enum):
    """When users send.

    closed_loop: the next prompt when the answer has ended. open_loop: on their own clock, whether
    answers have come or not. burst: all at the same moment, again and again.
    """

    closed_loop = "closed_loop"
    open_loop = "open_loop"
    burst = "burst"


@dataclass
class Load:
    """N users, and when each sends its next prompt."""

    name: str
    concurrency: list[int]
    requests_per_user: int
    requests_at_least: int  # per point, whatever the number of users
    warmup_requests_per_user: int
    request_timeout_s: float
    gateway_probes: int  # pairs of requests, direct and through the gateway
    max_token_lateness: float  # median, as a share of an engine step
    max_loop_lag_s: float  # 99th percentile of the client's event-loop lag
    client: LoadClient = LoadClient.aiohttp
    workers: int = 1  # processes that share the users; of client sockets only
    min_concurrency: float = 0.995  # in flight on average, as a share of the users asked for
    arrivals: Arrivals = Arrivals.closed_loop
    think_time_s: float = 0.0  # closed_loop: from the end of an answer to the next prompt
    ramp_s: float = 0.0  # closed_loop: from the first user's first prompt to the last's
    user_rate_per_s: float = 1.0  # open_loop: prompts of one user in a second
    burstiness: float = 1.0  # open_loop: shape of gamma-distributed gaps; 1 is Poisson
    burst_every_s: float = 10.0  # burst: from one to the next
    ttft_at_most_s: float = 1.0  # what users put up with: goodput counts what keeps both limits
    tpot_at_most_s: float = 0.1

    def __post_init__(self) -> None:
        require(bool(self.concurrency), "load.concurrency is empty: give a list such as [1,2,4]")
        for users in self.concurrency:
            require(users >= 1, f"load.concurrency has {users}: a number of users is 1 or more")
        require(
            self.concurrency == sorted(set(self.concurrency)),
            f"load.concurrency is {self.concurrency}: give rising numbers, each once",
        )
        require_positive(
            self,
            "load",
            "requests_per_user",
            "requests_at_least",
            "request_timeout_s",
            "max_token_lateness",
            "max_loop_lag_s",
            "workers",
            "user_rate_per_s",
            "burstiness",
            "burst_every_s",
            "ttft_at_most_s",
            "tpot_at_most_s",
        )
        require(
            self.think_time_s >= 0 and self.ramp_s >= 0,
            "load.think_time_s and load.ramp_s cannot be negative",
        )
        require(
            0 <= self.min_concurrency <= 1,
            f"load.min_concurrency is {self.min_concurrency}: give a share between 0 and 1",
        )
        require(
            self.workers == 1 or self.client is LoadClient.sockets,
            f"load.workers is {self.workers}: only load.client=sockets has more than one",
        )
        require(
            self.warmup_requests_per_user >= 0 and self.gateway_probes >= 0,
            "load.warmup_requests_per_user and load.gateway_probes cannot be negative",
        )

    @property
    def always_busy(self) -> bool:
        """Whether every user always has a request in flight."""
        return self.arrivals is Arrivals.closed_loop and not self.think_time_s


class ClockKind(Enum):
    """Whether time passes."""

    real = "real"
    virtual = "virtual"


@dataclass
class Clock:
    """Real or virtual time, and what a prediction adds to the time of the engines."""

    kind: ClockKind
    gateway_s: float  # the gateway's service time for one request; it handles one at a time
    request_s: float  # from the user to the engine
    reply_s: float  # from the engine to the user, of every token

    def __post_init__(self) -> None:
        for name in ("gateway_s", "request_s", "reply_s"):
            value = getattr(self, name)
            require(value >= 0, f"clock.{name} is {value}: a delay cannot be negative")


@dataclass
class Tracking:
    """Where runs are published."""

    enabled: bool
    uri: str


@dataclass
class Config:
    """One run: one deployment, walked up one concurrency ladder."""

    experiment: str
    figure: str  # module of paper_figures that draws the experiment; empty for none
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

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed is {self.seed}: give 0 or more")
        need, have = self.deployment.gpus, self.hardware.gpus
        require(
            need <= have,
            f"deployment.{self.deployment.id} needs {need} GPUs (tp x experts), "
            f"hardware.{self.hardware.name} has {have}",
        )
        require(
            self.clock.kind is ClockKind.real or self.engine.kind == "simulated",
            f"clock=virtual needs engine=simulated: nothing predicts engine={self.engine.kind}",
        )
        real, small = self.engine.kind == "smollm2", self.deployment.model.name == "smollm2_135m"
        require(
            real == small,
            f"engine={self.engine.kind} cannot run deployment.model {self.deployment.model.name}: "
            "engine=smollm2 and deployment=smollm2 go together",
        )
