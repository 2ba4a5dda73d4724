"""Raise the limit of open files (ulimit -n), which child processes inherit."""

import resource

from er.errors import ErError


def require(count: int, purpose: str, advice: str) -> None:
    """Raise the soft limit to the hard limit.

    Raises ErError when the hard limit is below `count`: `purpose` needs the files, and `advice` is
    what can be lowered.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ErError(
            f"{purpose} need {count} open files, the system allows {hard}: raise it (ulimit -Hn), "
            f"or lower {advice}"
        )
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
