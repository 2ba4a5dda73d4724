"""Resolve the address of an endpoint, and describe why it cannot be reached."""

import os
import socket
from contextlib import suppress

CONNECT_TIMEOUT_S = 5.0


def describe_error(error: OSError) -> str:
    """The cause by which requests are counted that a fault of the connection ended."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    return os.strerror(error.errno or 0).lower()


def resolve(host: str, port: int) -> tuple[int, tuple[object, ...]] | str:
    """Address family and address of the endpoint, or the cause when it has none.

    Of several addresses (`localhost` often has two), the first that accepts a connection.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return "host name not found"
    if len(addresses) > 1:
        with suppress(OSError), socket.create_connection((host, port), CONNECT_TIMEOUT_S) as probe:
            return probe.family, probe.getpeername()
    family, _, _, _, address = addresses[0]
    return family, address
