"""The schema of `server` and `gateway`."""

from dataclasses import dataclass

from er.config.checks import require_port, require_positive


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
