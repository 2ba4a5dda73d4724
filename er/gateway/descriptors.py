"""How many open files a gateway needs."""

import resource
import sys

from er.config import FastGateway
from er.process import open_files

SPARE = 64


def require(settings: FastGateway) -> None:
    """Allow two descriptors for each connection. Raises ErError when the system allows fewer."""
    most = settings.in_flight_at_most
    open_files.require(2 * most + SPARE, f"{most} requests in flight", "gateway.in_flight_at_most")


def clients_at_most() -> int:
    """Connections of clients, each of which may need one to an expert."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, (soft - SPARE) // 2)
