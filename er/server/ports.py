"""Reserve the ports of one Triton, HTTP, gRPC and metrics, until it opens them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from er.config import Server
from er.errors import ErError
from er.results.request import Endpoint

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """TCP ports of one server, and their host."""

    http: int
    grpc: int
    metrics: int
    host: str = HOST

    @property
    def base_url(self) -> str:
        """The start of the addresses of its HTTP protocol."""
        return f"http://{self.host}:{self.http}/v2"

    def endpoint(self, model: str, name: str) -> Endpoint:
        """The endpoint of `model`, which the deployment calls `name`."""
        return Endpoint(
            f"{self.base_url}/models/{model}/generate_stream",
            name,
            f"{self.host}:{self.grpc}",
            f"http://{self.host}:{self.metrics}/metrics",
        )

    def flags(self) -> list[str]:
        """Arguments of tritonserver for these ports: on loopback, or on every address."""
        address = HOST if self.host == HOST else "0.0.0.0"
        return [
            f"--http-address={address}",
            f"--http-port={self.http}",
            "--reuse-http-port=true",  # this process holds them
            f"--grpc-address={address}",
            f"--grpc-port={self.grpc}",
            "--reuse-grpc-port=true",
            f"--metrics-address={address}",
            f"--metrics-port={self.metrics}",
            "--allow-gpu-metrics=false",  # each of several servers would start a DCGM of its own
        ]


@contextmanager
def reserved(server: Server, index: int = 0, host: str = HOST) -> Iterator[Ports]:
    """Reserve the ports of a deployment's server `index` while the block lasts.

    With the loopback host they are ports of loopback, otherwise of every address of this machine.

    Raises ErError, naming the setting, when one is busy.
    """
    with ExitStack() as stack:

        def hold(kind: str, first: int, *, exclusive: bool = False) -> int:
            wanted = first and first + index
            return stack.enter_context(
                reserved_port(
                    wanted,
                    f"server.{kind}_port",
                    exclusive=exclusive,
                    address=HOST if host == HOST else "",
                )
            )

        yield Ports(
            hold("http", server.http_port),
            hold("grpc", server.grpc_port),
            # Triton opens this one without SO_REUSEPORT.
            hold("metrics", server.metrics_port, exclusive=True),
            host,
        )


@contextmanager
def reserved_port(
    wanted: int, place: str, *, exclusive: bool = False, address: str = HOST
) -> Iterator[int]:
    """Reserve a TCP port, `wanted` or any free one for 0, which Triton can open meanwhile.

    A socket that never listens holds the port, so that no other process gets it before Triton opens
    it. With `exclusive`, Triton does not share the port, and another process that asks for this
    very port may still take it first.

    Raises ErError when `wanted`, set at `place`, is busy.
    """
    option = socket.SO_REUSEADDR if exclusive else socket.SO_REUSEPORT
    with socket.socket() as probe, socket.socket() as holder:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, wanted))
            probe.close()
            holder.setsockopt(socket.SOL_SOCKET, option, 1)
            holder.bind((address, wanted))
        except OSError as error:
            raise ErError(
                f"{place} {wanted} cannot be opened on {address or '0.0.0.0'} ({error.strerror}): "
                f"stop what uses it, or set {place}=0 for any free port"
            ) from error
        yield holder.getsockname()[1]
