"""When two runs are the same: the same configuration, run by the same code."""

import hashlib
import json
from pathlib import Path

from er.config import Config
from er.config.plain import plain

WHERE = ("runs_dir", "cache_dir", "tracking")  # places do not change what is measured

# Set from the deployment.
FOLLOWING = (
    ("routing", "clusters"),
    ("engine", "checkpoint"),
    ("engine", "checkpoint_fp8"),
)


def run_key(config: Config) -> str:
    """SHA-256, in hexadecimal digits, of everything that decides what a run measures."""
    chosen = {name: value for name, value in plain(config).items() if name not in WHERE}
    return hashlib.sha256(json.dumps([chosen, code_digest()], sort_keys=True).encode()).hexdigest()


def code_digest() -> str:
    """SHA-256 of the package's own source files."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def study_key(config: Config) -> str:
    """What runs must share to be held against each other: everything but the deployment.

    What conf/ derives from the deployment is left out with it.
    """
    apart = ("deployment", *WHERE)
    chosen = {name: value for name, value in plain(config).items() if name not in apart}
    for group, name in FOLLOWING:
        chosen[group].pop(name, None)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
