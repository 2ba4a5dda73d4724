"""The schema of `server`."""

from dataclasses import dataclass

from er.config.checks import require, require_port, require_positive


@dataclass
class Server:
    """How Triton is started."""

    kind: str
    ready_timeout_s: float
    stop_timeout_s: float
    http_port: int  # 0: any free port
    grpc_port: int  # likewise
    metrics_port: int  # likewise

    def __post_init__(self) -> None:
        require_positive(self, "server", "ready_timeout_s", "stop_timeout_s")
        ports = ("http_port", "grpc_port", "metrics_port")
        for name in ports:
            require_port(getattr(self, name), f"server.{name}")
        chosen = [port for name in ports if (port := getattr(self, name))]
        require(
            len(set(chosen)) == len(chosen),
            f"server.http_port, grpc_port and metrics_port share one of {chosen}: give different "
            "ports, or 0 for any free one",
        )
