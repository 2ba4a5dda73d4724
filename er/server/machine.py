"""What a Triton on this machine needs of it, asked before anything is started."""

import re
import shutil
from pathlib import Path

from er.errors import ConfigError, ErError
from er.process import address_space, open_files

OPEN_FILES = 256  # of Triton itself, beside one for each request in flight
ADDRESS_SPACE_GB = 6  # Triton maps 3.6 GB with eight models
SHARED_MEMORY_MB = 2  # of each model: one at the start, one when a message grows
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
    """Triton hands paths of the run to a shell without quotes, and the Python in it, which takes no
    notice of a locale, reads them as ASCII: refuse what that would break."""
    found = re.search(r"[^\w./+:=@%,~-]", str(folder), re.ASCII)
    if found:
        raise ConfigError(
            f"runs_dir {str(folder)!r} has {found.group()!r} in its path, at which Triton "
            "breaks when it starts a model: give runs_dir=... of ASCII letters, digits and dots"
        )
