"""The schema of `load`: how many users send requests, and when."""

import re
from dataclasses import dataclass, field
from enum import Enum

from er.config.checks import require, require_positive


class LoadClient(Enum):
    """What sends requests: aiohttp, plain sockets in separate processes, or Triton's gRPC."""

    aiohttp = "aiohttp"
    sockets = "sockets"
    grpc = "grpc"


class Arrivals(Enum):
    """When users send.

    closed_loop: the next prompt when the answer has ended. open_loop: at random times, independent
    of answers. burst: all users at the same moment, periodically. trace: at the times of a file,
    N times as fast with N users.
    """

    closed_loop = "closed_loop"
    open_loop = "open_loop"
    burst = "burst"
    trace = "trace"


CONCURRENCY_AT_MOST = 1 << 20
REQUESTS_AT_MOST = 10_000_000  # of one point: all are kept in memory until it ends
# Rules of the fields of `Load`.
POSITIVE = ("requests_at_least", "request_timeout_s", "max_token_lateness", "max_loop_lag_s",
            "user_rate_per_s", "burstiness", "burst_every_s", "ttft_at_most_s",
            "tpot_at_most_s")  # fmt: skip
FINITE = ("request_timeout_s", "duration_s", "think_time_s", "ramp_s", "user_rate_per_s",
          "burst_every_s")  # fmt: skip
NOT_NEGATIVE = (
    ("requests_per_user", "duration_s"),
    ("think_time_s", "ramp_s"),
    ("warmup_requests_per_user", "gateway_probes"),
)
TRACE_COLUMNS = {"time", "input_tokens", "output_tokens"}


@dataclass
class Load:
    """N users, and when each sends its next prompt."""

    name: str
    concurrency: list[int]
    requests_per_user: int  # 0: duration_s ends a point
    requests_at_least: int  # measured requests of a point, for any number of users
    warmup_requests_per_user: int
    request_timeout_s: float
    gateway_probes: int  # pairs of requests, direct and through the gateway
    max_token_lateness: float  # median, as a share of an engine step
    max_loop_lag_s: float  # 99th percentile of the client's delays: of its loop, and of sends
    duration_s: float = 0.0  # no request begins after it; 0: requests_per_user ends a point
    steady_state: bool = False  # leave out the transient that a point begins with
    client: LoadClient = LoadClient.aiohttp
    # Processes that share the users, with client=sockets only; auto: as many as the users need and
    # free cores allow.
    workers: str = "auto"
    min_concurrency: float = 0.995  # least mean number of requests in flight, as a share of users
    arrivals: Arrivals = Arrivals.closed_loop
    think_time_s: float = 0.0  # closed_loop: from the end of an answer to the next prompt
    ramp_s: float = 0.0  # closed_loop: from the first user's first prompt to the last's
    user_rate_per_s: float = 1.0  # open_loop: prompts of one user per second
    burstiness: float = 1.0  # open_loop: shape of gamma-distributed gaps; 1: Poisson, inf: constant
    burst_every_s: float = 10.0  # burst: time from one burst to the next
    trace: str = ""  # trace: the file of times and token counts
    trace_unit: str = ""  # trace: s, ms, us or ns, if the kind of trace does not imply it
    # trace: the file's names of the columns time, input_tokens and output_tokens, if unknown to er.
    trace_columns: dict[str, str] = field(default_factory=dict)
    trace_rows: int = 0  # trace: use only this many of its first rows; 0 for all
    # Headers of every request: a name, and the environment variable that holds the value, which is
    # stored nowhere else.
    headers: dict[str, str] = field(default_factory=dict)
    tls_verify: bool = True  # false: accept any certificate, also a self-signed one
    find_knee: bool = False  # bisect `concurrency` for the most users within the limits below
    ttft_at_most_s: float = 1.0  # goodput is the share of requests that keep both limits
    tpot_at_most_s: float = 0.1

    def __post_init__(self) -> None:
        self._check_concurrency()
        self._check_numbers()
        self._check_end()
        self._check_size()
        self._check_headers()
        self._check_client()

    def _check_concurrency(self) -> None:
        require(bool(self.concurrency), "load.concurrency is empty: give a list such as [1,2,4]")
        for concurrency in self.concurrency:
            require(
                1 <= concurrency <= CONCURRENCY_AT_MOST,
                f"load.concurrency has {concurrency}: give 1 to {CONCURRENCY_AT_MOST} users",
            )
        require(
            self.concurrency == sorted(set(self.concurrency)),
            f"load.concurrency is {self.concurrency}: give rising numbers, each once",
        )

    def _check_numbers(self) -> None:
        require_positive(self, "load", *POSITIVE)
        for name in FINITE:
            value = getattr(self, name)
            require(value < float("inf"), f"load.{name} is {value}: give a number")
        for pair in NOT_NEGATIVE:
            require(
                all(getattr(self, name) >= 0 for name in pair),
                f"{' and '.join(f'load.{name}' for name in pair)} cannot be negative",
            )
        require(
            0 <= self.min_concurrency <= 1,
            f"load.min_concurrency is {self.min_concurrency}: give a share between 0 and 1",
        )

    def _check_client(self) -> None:
        require(
            self.workers == "auto" or (self.workers.isdecimal() and int(self.workers) >= 1),
            f"load.workers is {self.workers}: give auto, or a number of processes from 1 on",
        )
        require(
            self.workers in ("1", "auto") or self.client is LoadClient.sockets,
            f"load.workers is {self.workers}: only load.client=sockets has more than one",
        )
        require(
            self.tls_verify or self.client is LoadClient.aiohttp,
            "load.tls_verify is false: only load.client=aiohttp can do without",
        )

    def _check_headers(self) -> None:
        """Messages do not show the value of a header: it may be a secret in place of a variable."""
        for name, variable in self.headers.items():
            require(
                bool(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)),
                f"load.headers has {name!r}: a header's name has no such characters",
            )
            require(
                bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable)),
                f"load.headers gives {name} no variable: export the value, and set "
                f"'load.headers={{{name}: VARIABLE}}'",
            )

    def _check_end(self) -> None:
        """Exactly one setting may end a point."""
        replayed = self.arrivals is Arrivals.trace
        require(
            replayed == bool(self.trace),
            f"load.arrivals is {self.arrivals.value} and load.trace is '{self.trace}': "
            "a trace is replayed with load=trace load.trace=FILE",
        )
        unknown = sorted(set(self.trace_columns) - TRACE_COLUMNS)
        require(
            not unknown,
            f"load.trace_columns has {', '.join(unknown)}: it takes "
            f"{', '.join(sorted(TRACE_COLUMNS))}",
        )
        require(
            self.trace_unit in ("", "s", "ms", "us", "ns"),
            f"load.trace_unit is {self.trace_unit}: give s, ms, us or ns",
        )
        require(self.trace_rows >= 0, "load.trace_rows cannot be negative")
        for name in ("trace_unit", "trace_columns", "trace_rows"):
            require(
                replayed or not getattr(self, name),
                f"load.{name} is of a trace: add load=trace load.trace=FILE, or leave it out",
            )
        if replayed:
            require(
                not self.requests_per_user and not self.warmup_requests_per_user,
                "load.arrivals=trace sends what the file has: set load.requests_per_user and "
                "load.warmup_requests_per_user to 0",
            )
            return
        require(
            bool(self.requests_per_user) != bool(self.duration_s),
            f"load.requests_per_user is {self.requests_per_user} and load.duration_s is "
            f"{self.duration_s:g}: one of the two ends a point, set the other to 0",
        )

    def _check_size(self) -> None:
        """Raise ConfigError for more requests than memory can hold."""
        users = self.concurrency[-1]
        each = float(self.requests_per_user)
        if self.arrivals is Arrivals.open_loop:
            each = max(each, self.user_rate_per_s * self.duration_s)
        elif self.arrivals is Arrivals.burst:
            each = max(each, self.duration_s / self.burst_every_s)
        count = max(users * (each + self.warmup_requests_per_user), self.requests_at_least)
        require(
            count <= REQUESTS_AT_MOST,
            f"load asks for {count:,.0f} requests at {users} users: lower load.concurrency, "
            "load.requests_per_user, load.requests_at_least or load.duration_s, for "
            f"{REQUESTS_AT_MOST:,} at most",
        )

    @property
    def always_busy(self) -> bool:
        """Whether every user always has a request in flight."""
        return self.arrivals is Arrivals.closed_loop and not self.think_time_s
