"""The plain values in which rooms of one floor meet: endpoints, models, prompts and requests.

Times are seconds on the client's monotonic clock. Definitions: TTFT is first token minus send;
TPOT is (E2E - TTFT) / (tokens - 1); ITL is the gap between two tokens, pooled over all gaps of a
point; E2E is end minus send (the paper's response time).
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Endpoint:
    """Where one model answers Triton's generate_stream."""

    url: str  # http://host:port/v2/models/NAME/generate_stream
    model: str
    grpc_address: str = ""  # host:port where the same server speaks gRPC; empty: nowhere
    metrics_url: str = ""  # of the same server, in Prometheus' text format; empty: nowhere
    # Headers of each request: a name, and the environment variable that holds the value.
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """Its name or address."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Prompt:
    """A text to send, cut or joined to its token count."""

    text: str
    topic: str
    input_tokens: int
    output_tokens: int  # asked for with max_tokens
    group: int = -1  # prompts of one group begin with the same text; -1: alone
    shared_tokens: int = 0  # leading tokens that an earlier prompt of the group already had
    turn: int = 0  # above 0: of the user who sent the prompt before it, after that one's answer
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
    token_times_s: list[float] = field(default_factory=list)  # arrival of each, first included
    end_s: float = 0.0
    status: int = 0  # HTTP status; 0 when no answer came
    error: str = ""  # cause, empty on success
    expert: int = -1  # chosen by the gateway; -1 without one
    text: str = ""
    # How late the engine sent each token against its own clock, as a share of that step's length;
    # empty when the engine does not tell.
    token_lateness: list[float] = field(default_factory=list)
    intended_s: float = 0.0  # when it should have been sent: later sends hide waiting
    reasoning_tokens: int = 0  # of the tokens received, those that are no answer
    first_answer_s: float = 0.0  # arrival of the first that is; 0 without
    usage_tokens: int = -1  # as the server counts them; -1 where it does not tell
    retries: int = 0  # times that it was sent again as the server, too busy (429), wished
    cooldown: bool = False  # unmeasured: keeps its user in flight until the last measured one ends

    @property
    def output_tokens(self) -> int:
        """Tokens received."""
        return len(self.token_times_s)

    @property
    def measured(self) -> bool:
        """Neither warm-up nor cool-down."""
        return not (self.warmup or self.cooldown)

    @property
    def ok(self) -> bool:
        """Answered without an error and with at least one token."""
        return not self.error and bool(self.token_times_s)

    @property
    def ttft_s(self) -> float:
        """Time to first token, from the send."""
        return self.token_times_s[0] - self.send_s

    @property
    def ttft_intended_s(self) -> float:
        """Time to first token, from when the request should have been sent.

        Without it, a client that sends late hides what its users would have waited: coordinated
        omission (G. Tene, How NOT to Measure Latency, 2013).
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
    """One model for Triton's Python backend."""

    name: str
    implementation: str  # module with a TritonPythonModel class
    max_batch_size: int
    parameters: dict[str, str]  # handed to the model as Triton parameters
    ready_max_tokens: int = 1  # tokens asked for by the inference that proves readiness
