"""The limit of open files: each connection of the load generator is an open file."""

import math
import resource

from er.config import Load, LoadClient
from er.errors import ConfigError

OTHER_FILES = 64  # open files of a process that are not connections


def check(load: Load, concurrency: int) -> None:
    """Raise ConfigError when the system allows a process fewer open files than its users need.

    `load.workers` processes share the users; `auto` may mean one process.
    """
    if load.client is LoadClient.grpc:  # all requests share one connection
        return
    processes = 1 if load.workers == "auto" else min(int(load.workers), concurrency)
    needed = math.ceil(concurrency / processes) + OTHER_FILES
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and needed > most:
        raise ConfigError(
            f"{concurrency} users need {needed} open files in a process, and the limit is {most}: "
            "raise it (ulimit -Hn), or load.workers with load.client=sockets, or lower "
            "load.concurrency"
        )


def allow_most() -> None:
    """Raise this process's limit of open files to the most that the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
