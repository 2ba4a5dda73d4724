"""How many open files a gateway needs."""

import errno
import resource
import sys

from er.config import Gateway
from er.process import open_files

SPARE = 64  # for clients that are being refused and for the gateway itself
REFUSED_AT_MOST = 32  # clients that have been refused and may take their time to leave


def require(settings: Gateway) -> None:
    """Allow two descriptors for each connection. Raises ErError when the system allows fewer."""
    most = settings.in_flight_at_most
    open_files.require(2 * most + SPARE, f"{most} requests in flight", "gateway.in_flight_at_most")


def clients_at_most() -> int:
    """Connections of clients, each of which may need one to an expert."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, (soft - SPARE) // 2)


def describe_shortage(error: BaseException) -> str:
    """Which limit of open files is reached, where an error says so; else empty."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENFILE:
        return "too many files are open on this machine (sysctl fs.file-max)"
    if number != errno.EMFILE:
        return ""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"the gateway has as many files open as a process may, {soft} (ulimit -n)"
