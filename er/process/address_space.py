"""Check the limit of address space (ulimit -v), which child processes inherit."""

import resource

from er.errors import ConfigError
from er.results.words import as_different


def require(gigabytes: int, need: str) -> None:
    """Raise ConfigError, with `need` as its start, when the limit is below `gigabytes` (10^9)."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < gigabytes * 10**9:
        has, _ = as_different(allowed / 10**9, gigabytes, 2)
        raise ConfigError(
            f"{need} {gigabytes} GB of address space, the shell allows {has}: "
            "raise it (ulimit -v unlimited)"
        )
