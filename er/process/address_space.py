"""The limit of address space, for this process and what it starts."""

import resource

from er.errors import ConfigError


def require(gigabytes: int, need: str) -> None:
    """Raise ConfigError, beginning with `need`, when the system allows fewer gigabytes (10^9)."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < gigabytes * 10**9:
        raise ConfigError(
            f"{need} {gigabytes} GB of address space, the shell allows {allowed / 10**9:.2f}: "
            "raise it (ulimit -v unlimited)"
        )
