"""The schema of `load`: how many users, and when they send."""

import re
from dataclasses import dataclass, field
from enum import Enum

from er.config.checks import require, require_positive


class LoadClient(Enum):
    """What sends requests: aiohttp, plain sockets in processes of their own, or Triton's gRPC."""

    aiohttp = "aiohttp"
    sockets = "sockets"
    grpc = "grpc"


class Arrivals(Enum):
    """When users send.

    closed_loop: the next prompt when the answer has ended. open_loop: on their own clock, whether
    answers have come or not. burst: all at the same moment, again and again. trace: at the times
    of a file; N users send N times as fast as it.
    """

    closed_loop = "closed_loop"
    open_loop = "open_loop"
    burst = "burst"
    trace = "trace"


AT_MOST_CONCURRENCY = 1 << 20
REQUESTS_AT_MOST = 10_000_000  # of one point: all are kept in memory until it ends


@dataclass
class Load:
    """N users, and when each sends its next prompt."""

    name: str
    concurrency: list[int]
    requests_per_user: int  # 0 where duration_s ends a point
    requests_at_least: int  # per point, for any number of users
    warmup_requests_per_user: int
    request_timeout_s: float
    gateway_probes: int  # pairs of requests, direct and through the gateway
    max_token_lateness: float  # median, as a share of an engine step
    max_loop_lag_s: float  # of the client, 99th percentile: of its loop, its reads, late sends
    duration_s: float = 0.0  # no request begins after it; 0 where requests_per_user ends a point
    steady_state: bool = False  # leave out the transient that a point begins with
    client: LoadClient = LoadClient.aiohttp
    # Processes that share the users, of client sockets only; auto: as many as their number asks for
    # and free cores allow.
    workers: str = "auto"
    min_concurrency: float = 0.995  # in flight on average, as a share of the users asked for
    arrivals: Arrivals = Arrivals.closed_loop
    think_time_s: float = 0.0  # closed_loop: from the end of an answer to the next prompt
    ramp_s: float = 0.0  # closed_loop: from the first user's first prompt to the last's
    user_rate_per_s: float = 1.0  # open_loop: prompts of one user in a second
    burstiness: float = 1.0  # open_loop: shape of gamma-distributed gaps; 1: Poisson, inf: constant
    burst_every_s: float = 10.0  # burst: from one to the next
    trace: str = ""  # trace: the file of times and token counts
    trace_unit: str = ""  # of its times: s, ms, us or ns, where its columns do not tell
    # Which column is which, where they are not known by their names: time, input_tokens,
    # output_tokens.
    trace_columns: dict[str, str] = field(default_factory=dict)
    trace_rows: int = 0  # only so many of its first rows; 0 for all
    # Sent with every request: a name, and the environment variable that holds the value, which is
    # kept nowhere else.
    headers: dict[str, str] = field(default_factory=dict)
    tls_verify: bool = True  # false: take any certificate, as of a server that signed its own
    find_knee: bool = False  # bisect concurrency for the most users within the limits below
    ttft_at_most_s: float = 1.0  # what users accept: goodput counts what keeps both limits
    tpot_at_most_s: float = 0.1

    def __post_init__(self) -> None:
        require(bool(self.concurrency), "load.concurrency is empty: give a list such as [1,2,4]")
        for concurrency in self.concurrency:
            require(
                1 <= concurrency <= AT_MOST_CONCURRENCY,
                f"load.concurrency has {concurrency}: give 1 to {AT_MOST_CONCURRENCY} users",
            )
        require(
            self.concurrency == sorted(set(self.concurrency)),
            f"load.concurrency is {self.concurrency}: give rising numbers, each once",
        )
        require_positive(
            self,
            "load",
            "requests_at_least",
            "request_timeout_s",
            "max_token_lateness",
            "max_loop_lag_s",
            "user_rate_per_s",
            "burstiness",
            "burst_every_s",
            "ttft_at_most_s",
            "tpot_at_most_s",
        )
        for name in ("request_timeout_s", "duration_s", "think_time_s", "ramp_s",
                     "user_rate_per_s", "burst_every_s"):  # fmt: skip
            value = getattr(self, name)
            require(value < float("inf"), f"load.{name} is {value}: give a number")
        require(
            self.requests_per_user >= 0 and self.duration_s >= 0,
            "load.requests_per_user and load.duration_s cannot be negative",
        )
        self._check_end()
        self._check_size()
        self._check_headers()
        require(
            self.think_time_s >= 0 and self.ramp_s >= 0,
            "load.think_time_s and load.ramp_s cannot be negative",
        )
        require(
            0 <= self.min_concurrency <= 1,
            f"load.min_concurrency is {self.min_concurrency}: give a share between 0 and 1",
        )
        require(
            self.workers == "auto" or (self.workers.isdecimal() and int(self.workers) >= 1),
            f"load.workers is {self.workers}: give auto, or a number of processes from 1 on",
        )
        require(
            self.workers in ("1", "auto") or self.client is LoadClient.sockets,
            f"load.workers is {self.workers}: only load.client=sockets has more than one",
        )
        require(
            self.warmup_requests_per_user >= 0 and self.gateway_probes >= 0,
            "load.warmup_requests_per_user and load.gateway_probes cannot be negative",
        )

    def _check_headers(self) -> None:
        """What is no variable may be a secret, and is not repeated."""
        for name, variable in self.headers.items():
            require(
                bool(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)),
                f"load.headers has {name!r}: a header's name has no such characters",
            )
            require(
                bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable)),
                f"load.headers gives {name} no variable: export the value, and say "
                f"'load.headers={{{name}: VARIABLE}}'",
            )
        require(
            self.tls_verify or self.client is LoadClient.aiohttp,
            "load.tls_verify is false: only load.client=aiohttp can do without",
        )

    def _check_end(self) -> None:
        """Exactly one setting may end a point."""
        replayed = self.arrivals is Arrivals.trace
        require(
            replayed == bool(self.trace),
            f"load.arrivals is {self.arrivals.value} and load.trace is '{self.trace}': "
            "a trace is replayed with load=trace load.trace=FILE",
        )
        known = {"time", "input_tokens", "output_tokens"}
        require(
            set(self.trace_columns) <= known,
            f"load.trace_columns has {', '.join(sorted(set(self.trace_columns) - known))}: "
            f"it takes {', '.join(sorted(known))}",
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
        """Refuse what would take the memory of this machine before it is sent."""
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
