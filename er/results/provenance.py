"""Record what a run was made with: code, packages, host and command."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
FROZEN = "frozen.json"  # beside the copy of the code of a job of Slurm
PACKAGES = (
    "er",
    "aiohttp",
    "hydra-core",
    "mlflow",
    "numpy",
    "nvidia-pytriton",
    "omegaconf",
    "pyarrow",
    "scikit-learn",
    "tiktoken",
    "tritonclient",
    "uvloop",
)


def collect() -> dict[str, Any]:
    """Facts about this process and host, as plain values; empty where they are unknown."""
    return {
        "command": [without_checkout(sys.argv[0]), *sys.argv[1:]],
        **version_of_code(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": _output_of(
            "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"
        ).splitlines(),
    }


def without_checkout(path: str) -> str:
    """A path relative to this checkout, so that a run does not name folders of a machine.

    Any other text is not changed.
    """
    return path.removeprefix(f"{ROOT}/")


def version_of_code() -> dict[str, Any]:
    """The commit of the running code; for a copy of the code, as recorded when it was made."""
    if (ROOT / FROZEN).exists():
        return dict(json.loads((ROOT / FROZEN).read_text()))
    return {
        "git_commit": _output_of("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "git_dirty": bool(_output_of("git", "-C", str(ROOT), "status", "--porcelain")),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _output_of(program: str, *arguments: str) -> str:
    """The output of a command; empty when the command is missing or fails."""
    if not shutil.which(program):
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
