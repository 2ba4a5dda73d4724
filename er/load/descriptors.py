"""Open files: each user of a load generator has a connection, and each is one."""

import math
import resource

from er.config import Load, LoadClient
from er.errors import ConfigError

OTHERS = 64  # files of a process that are no connections


def check(load: Load, concurrency: int) -> None:
    """Raise ConfigError, with both numbers, where the system allows fewer connections than users.

    As many workers as `load.workers` share them; `auto` may mean one.
    """
    if load.client is LoadClient.grpc:  # all requests share one connection
        return
    processes = 1 if load.workers == "auto" else min(int(load.workers), concurrency)
    needed = math.ceil(concurrency / processes) + OTHERS
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and needed > most:
        raise ConfigError(
            f"{concurrency} users need {needed} open files in a process, and the limit is {most}: "
            "raise it (ulimit -Hn), or load.workers with load.client=sockets, or lower "
            "load.concurrency"
        )


def allow_most() -> None:
    """Raise this process's limit to the most that the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
