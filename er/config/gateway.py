"""The schema of `gateway`."""

from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from er.config.checks import require, require_port, require_positive
from er.errors import ConfigError

FAST = "fast"
PROCESSES_AT_MOST = 256
COALESCE_AT_MOST_S = 0.1
LABEL_AT_MOST = 63  # characters between two dots of a host name (RFC 1035, 2.3.4)
KINDS = (FAST, "aiohttp", "sklearn")
BYTES_AT_LEAST = 1024  # of a head or a body: less refuses requests of common clients
TIME_AT_LEAST_S, TIME_AT_MOST_S = 0.01, 365 * 86_400.0
# What the path of an expert's address ends with; requests go to the same path, with the ending
# that they need.
OPENAI_ENDINGS = ("/chat/completions", "/completions")
TRITON_ENDINGS = ("/generate_stream", "/generate")
OPENAI_BASE = "/v1"


@dataclass
class Gateway:
    """Settings of every kind of gateway."""

    kind: str
    host: str
    port: int  # 0: any free port
    ready_timeout_s: float
    in_flight_at_most: int  # requests, at one expert (fast) or at all together (the other kinds)
    # Service time of one request: all that predictions (clock=virtual) model of a gateway.
    service_s: float
    # For `python -m er.gateway` only; a study starts its own experts. One entry for each cluster:
    # an address, or the list of addresses of its replicas.
    experts: list[Any]

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"gateway.kind is {self.kind}: choose from {', '.join(KINDS)}")
        require(
            (self.kind == FAST) is isinstance(self, FastGateway),
            f"gateway.kind is {self.kind}: choose a gateway with gateway=...",
        )
        require_times(self, "gateway", "ready_timeout_s")
        require_positive(self, "gateway", "in_flight_at_most")
        require_port(self.port, "gateway.port")
        for replicas in self.experts:
            addresses = replicas if isinstance(replicas, list) else [replicas]
            for address in addresses:
                require_address(address, "gateway.experts")
            for address in addresses:
                require(
                    addresses.count(address) == 1,
                    f"gateway.experts has {address} twice for one cluster: give each replica once",
                )


@dataclass
class GatewayTimeouts:
    """How long a gateway waits for each event."""

    header_s: float  # from the first byte of a request's head to its last
    body_s: float  # from a request's head to the last byte of its body
    keepalive_s: float  # between two requests on a client's connection, and for an idle expert's
    queue_s: float  # for a place at an expert
    connect_s: float  # for a connection to an expert
    first_byte_s: float  # from the request sent to the expert's first byte
    idle_s: float  # between two pieces of an answer
    total_s: float  # for the whole answer
    client_stall_s: float  # for a client that does not read
    drain_s: float  # after TERM, for the answers that are under way
    probe_s: float  # for the inference that proves an expert ready

    def __post_init__(self) -> None:
        require_times(self, "gateway.timeouts", *(entry.name for entry in fields(self)))


@dataclass
class GatewayLimits:
    """How much a gateway accepts."""

    body_bytes: int  # of one request
    header_bytes: int  # of one request's head, and of one answer's
    buffered_bytes: int  # of all requests' bodies together
    prompt_characters: int  # of the text that is classified; an English token has about 4
    prompt_tokens: int  # of the same; 0: not counted
    tokenizer: str  # file tokenizer.json of the model, which counts them
    connections: int  # of all clients together
    connections_per_client: int  # from one address

    def __post_init__(self) -> None:
        others = ("prompt_tokens", "tokenizer")
        names = [entry.name for entry in fields(self) if entry.name not in others]
        require_positive(self, "gateway.limits", *names)
        require(
            self.prompt_tokens >= 0,
            f"gateway.limits.prompt_tokens is {self.prompt_tokens}: give 0 (not counted) or more",
        )
        for name in ("header_bytes", "body_bytes"):
            value = getattr(self, name)
            require(
                value >= BYTES_AT_LEAST,
                f"gateway.limits.{name} is {value}: give {BYTES_AT_LEAST} or more, or common "
                "clients are refused",
            )
        require(
            self.buffered_bytes >= self.body_bytes,
            f"gateway.limits.buffered_bytes is {self.buffered_bytes}: give body_bytes, "
            f"{self.body_bytes}, or more, or a body of this length is never taken",
        )
        require(
            bool(self.prompt_tokens) is bool(self.tokenizer),
            "gateway.limits.prompt_tokens and gateway.limits.tokenizer (a tokenizer.json) belong "
            "together: give both, or none",
        )


@dataclass
class FastGateway(Gateway):
    """A gateway that relays on bare protocols."""

    processes: int  # that share the port
    queue_at_most: int  # requests waiting for a place at one expert; more are refused with 429
    retries: int  # on another expert or replica, before the first byte of an answer
    spill_margin: float  # below it, prompts of a full expert go to the second best; 0: never
    breaker_failures: int  # in a row, after which an expert gets no more requests
    breaker_open_s: float  # until such an expert is probed by an inference, and again
    coalesce_s: float  # how long tokens may wait to be sent together; 0: not at all
    coalesce_streams: int  # from how many answers at once
    pass_authorization: bool  # a client's Authorization header to the expert
    api_keys_file: str  # a line NAME:KEY for each client; empty: no key needed
    tls_certificate: str  # file; empty: plain HTTP
    tls_key: str  # file
    admin_port: int  # 0: no administration
    access_log: bool  # a JSON line for each request
    timeouts: GatewayTimeouts
    limits: GatewayLimits

    def __post_init__(self) -> None:
        super().__post_init__()
        require_times(self, "gateway", "breaker_open_s")
        require_positive(self, "gateway", "processes", "breaker_failures", "coalesce_streams")
        require(
            self.processes <= PROCESSES_AT_MOST,
            f"gateway.processes is {self.processes}: give one for each core, "
            f"{PROCESSES_AT_MOST} at most",
        )
        for name in ("queue_at_most", "retries", "spill_margin", "coalesce_s"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"gateway.{name} is {value}: give 0 or more")
        require(
            self.coalesce_s <= COALESCE_AT_MOST_S,
            f"gateway.coalesce_s is {self.coalesce_s}: tokens may wait {COALESCE_AT_MOST_S:g} s "
            "at most",
        )
        require_port(self.admin_port, "gateway.admin_port", zero="no administration")
        require(
            not self.port or self.port != self.admin_port,
            f"gateway.port and gateway.admin_port are both {self.port}: give two ports",
        )
        require(
            bool(self.tls_certificate) is bool(self.tls_key),
            "gateway.tls_certificate and gateway.tls_key belong together: give both, or none",
        )


def require_times(owner: object, place: str, *names: str) -> None:
    """Raise ConfigError unless each named field of `owner`, the section `place`, is a time in
    seconds that can pass."""
    for name in names:
        value = getattr(owner, name)
        require(
            TIME_AT_LEAST_S <= value <= TIME_AT_MOST_S,
            f"{place}.{name} is {value}: give seconds, from {TIME_AT_LEAST_S:g} to "
            f"{TIME_AT_MOST_S:.0f}, a year",
        )


def require_address(address: object, place: str) -> None:
    """Raise ConfigError unless `address` is an expert's: http://HOST:PORT/PATH."""
    require(
        "@" not in str(address),  # a password, which is not to be printed
        f"{place} has an address with '@', before which there may be a password: experts are sent "
        "none, but a client's Authorization with gateway.pass_authorization=true",
    )
    problem = (
        f"{place} has {address}: give addresses such as http://HOST:8000/v1 or "
        "http://HOST:8000/v2/models/ensemble/generate_stream"
    )
    try:
        parts = urlsplit(str(address))
        port = parts.port
    except ValueError as error:
        raise ConfigError(problem) from error
    usable = parts.scheme == "http" and parts.hostname and port != 0
    printable = str(address).isascii() and str(address).isprintable() and " " not in str(address)
    labels = (parts.hostname or "").removesuffix(".").split(".")
    named = all(0 < len(label) <= LABEL_AT_MOST for label in labels)
    require(bool(usable) and printable and named and not parts.fragment, problem)
    endings = (OPENAI_BASE, *OPENAI_ENDINGS, *TRITON_ENDINGS)
    require(
        parts.path.rstrip("/").endswith(endings),
        f"{place} has {address}: addresses end with /v1 (OpenAI) or /generate_stream (Triton)",
    )


def is_openai(address: str) -> bool:
    """Whether an expert's address is of OpenAI's API; else it is of Triton's generate extension."""
    return urlsplit(address).path.rstrip("/").endswith((OPENAI_BASE, *OPENAI_ENDINGS))
