"""Check, before anything starts, that this machine's limits suffice for Triton."""

import re
import shutil
from pathlib import Path

from er.errors import ConfigError, ErError
from er.process import address_space, open_files

OPEN_FILES = 256  # of Triton itself, in addition to one for each request in flight
ADDRESS_SPACE_GB = 6  # Triton maps 3.6 GB with eight models
SHARED_MEMORY_MB = 2  # for each model: 1 MB at the start, 1 MB when a message grows
SHARED_MEMORY = Path("/dev/shm")


def check(runs_dir: Path, models: int, concurrency: int) -> None:
    """Raise ErError, saying how to fix it, when the machine's limits are too low."""
    require_plain(runs_dir.absolute())
    if not shutil.which("bash"):
        raise ErError("Triton starts its models with bash, which is not on PATH: correct PATH")
    open_files.require(
        concurrency + OPEN_FILES, f"{concurrency} requests in flight", "load.concurrency"
    )
    address_space.require(ADDRESS_SPACE_GB, "Triton needs")
    free, needed = shutil.disk_usage(SHARED_MEMORY).free, models * SHARED_MEMORY_MB * 2**20
    if free < needed:
        raise ErError(
            f"{models} models need {needed // 2**20} MB of {SHARED_MEMORY}, {free // 2**20} MB are "
            "free: make room there (a container: --shm-size=1g)"
        )


def require_plain(folder: Path) -> None:
    """Raise ConfigError for a path that Triton cannot handle.

    Triton passes paths of the run to a shell without quotes, and its Python reads them as ASCII.
    """
    found = re.search(r"[^\w./+:=@%,~-]", str(folder), re.ASCII)
    if found:
        raise ConfigError(
            f"runs_dir {str(folder)!r} has {found.group()!r} in its path, at which Triton "
            "breaks when it starts a model: give runs_dir=... of ASCII letters, digits and dots"
        )
