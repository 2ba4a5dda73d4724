"""Give processes a share of a core each, so that what they do does not hang on who else runs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PERIOD_US = 10_000
GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def quotas(processes: Sequence[int], share: float) -> Iterator[None]:
    """Each of these process ids has this share of a core in the block.

    Raises LookupError where control groups cannot be written (they take root).
    """
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(_quota(process, share))
        yield


@contextmanager
def _quota(process: int, share: float) -> Iterator[None]:
    parent, limits = _kind(share)
    group = parent / f"er-quota-{os.getpid()}-{process}"
    try:
        group.mkdir()
        for file, value in limits.items():
            (group / file).write_text(value)
        (group / "cgroup.procs").write_text(str(process))
    except OSError as error:
        if group.exists():
            group.rmdir()
        raise LookupError(f"control groups cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        (parent / "cgroup.procs").write_text(str(process))
        group.rmdir()


def _kind(share: float) -> tuple[Path, dict[str, str]]:
    """Where groups are made, and the files that limit one: version 2 or 1."""
    quota_us = round(share * PERIOD_US)
    controllers = GROUPS / "cgroup.controllers"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        return GROUPS, {"cpu.max": f"{quota_us} {PERIOD_US}"}
    if (GROUPS / "cpu").is_dir():
        limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
        return GROUPS / "cpu", limits
    raise LookupError("there are no control groups for processors")
