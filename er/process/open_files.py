"""The limit of open files, for this process and what it starts."""

import resource

from er.errors import ErError


def require(count: int, purpose: str, advice: str) -> None:
    """Raise the soft limit to the hard one, which has to allow `count` files.

    Raises ErError, with what needs the files and advice, when the system allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ErError(
            f"{purpose} need {count} open files, the system allows {hard}: raise it (ulimit -Hn), "
            f"or lower {advice}"
        )
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
