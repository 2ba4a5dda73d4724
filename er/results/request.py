"""Endpoints, models, prompts and requests: the values that engines, servers and load exchange.

Times are seconds on the client's monotonic clock. Definitions: TTFT is first token minus send;
TPOT is (E2E - TTFT) / (tokens - 1); ITL is the gap between two tokens, pooled over all gaps of a
point; E2E is end minus send (the paper's response time).
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Endpoint:
    """The address of one model."""

    url: str  # http://host:port/v2/models/NAME/generate_stream
    model: str
    grpc_address: str = ""  # host:port of the same server's gRPC; empty: none
    metrics_url: str = ""  # of the same server, in Prometheus' text format; empty: none
    # Headers of each request: a name, and the environment variable that holds the value.
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """Host name or IP address."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Prompt:
    """A text to send, with its number of tokens, and the length of the answer."""

    text: str
    topic: str
    input_tokens: int
    output_tokens: int  # requested with max_tokens
    group: int = -1  # prompts of one group begin with the same text; -1: no group
    shared_tokens: int = 0  # leading tokens that an earlier prompt of the group already had
    turn: int = 0  # above 0: sent by the user of the prompt before it, after its answer
    stop_at_eos: bool = False  # whether the answer may end before it has `output_tokens`


@dataclass
class Request:
    """One request of one user, as the client saw it."""

    concurrency: int
    user: int
    index: int  # order of sending within the point
    warmup: bool
    topic: str
    input_tokens: int
    max_tokens: int
    send_s: float
    token_times_s: list[float] = field(default_factory=list)  # arrival of each token
    end_s: float = 0.0
    status: int = 0  # HTTP status; 0 without an answer
    error: str = ""  # cause of a failure; empty on success
    expert: int = -1  # chosen by the gateway; -1 without a gateway
    text: str = ""
    # How late the engine sent each token by its own clock, as a share of the step's length; empty
    # if the engine does not report it.
    token_lateness: list[float] = field(default_factory=list)
    intended_s: float = 0.0  # when it was due
    reasoning_tokens: int = 0  # received tokens that are not part of the answer
    first_answer_s: float = 0.0  # arrival of the first token of the answer itself; 0 without one
    usage_tokens: int = -1  # number of tokens by the server's count; -1 if it does not report it
    retries: int = 0  # how often it was sent again because the server was too busy (429)
    cooldown: bool = False  # unmeasured: keeps its user busy until the last measured request ends

    @property
    def output_tokens(self) -> int:
        """Number of tokens received."""
        return len(self.token_times_s)

    @property
    def measured(self) -> bool:
        """Whether the request is neither warm-up nor cool-down."""
        return not (self.warmup or self.cooldown)

    @property
    def ok(self) -> bool:
        """Whether it was answered without an error and with at least one token."""
        return not self.error and bool(self.token_times_s)

    @property
    def ttft_s(self) -> float:
        """Time to first token, from sending."""
        return self.token_times_s[0] - self.send_s

    @property
    def ttft_intended_s(self) -> float:
        """Time to first token, from when the request was due.

        TTFT alone would hide the wait for a client that sends late: coordinated omission (G. Tene,
        How NOT to Measure Latency, 2013).
        """
        return self.token_times_s[0] - (self.intended_s or self.send_s)

    @property
    def e2e_s(self) -> float:
        """End-to-end latency."""
        return self.end_s - self.send_s

    @property
    def tpot_s(self) -> float:
        """Time per output token; NaN for a single token."""
        if self.output_tokens < 2:
            return float("nan")
        return (self.e2e_s - self.ttft_s) / (self.output_tokens - 1)


@dataclass(frozen=True)
class ServedModel:
    """One model that Triton serves."""

    name: str
    implementation: str  # module with a TritonPythonModel class; empty in a container
    max_batch_size: int
    parameters: dict[str, str]  # passed to the model as Triton parameters
    ready_max_tokens: int = 1  # max_tokens of the inference that proves readiness
