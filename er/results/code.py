"""Which source files decide the numbers of a point, and their digest."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Folders and files below the package `er`.
SHARED = [
    "corpus",
    "load",
    "routing",
    "results/point.py",
    "results/quantiles.py",
    "results/request.py",
    "results/window.py",
    "study/inputs.py",
]
SIMULATES = [
    *SHARED,
    "simulation",
    "study/predicted.py",
    "study/settling.py",
    "study/capacity.py",
]
SERVES = ["engine", "gateway", "process", "server", "simulation"]
MEASURES = [*SHARED, *SERVES, "study/measured.py"]
# Files in these folders that only show results, or that prepare data which is kept in files.
EXCLUDED = {
    "load/alone.py",
    "load/inspect.py",
    "load/table.py",
    "routing/classify.py",
    "routing/evaluate.py",
    "routing/explain.py",
    "routing/measures.py",
    "routing/pictures.py",
    "routing/projection.py",
    "routing/recalibrate.py",
    "routing/train.py",
    "simulation/as_published.py",
    "simulation/bake.py",
    "simulation/calibrate.py",
    "simulation/comparison.py",
    "simulation/fit.py",
    "simulation/fit_published.py",
    "simulation/published.py",
    "simulation/recorded.py",
    "simulation/validate.py",
    "simulation/validation_tables.py",
}
SUFFIXES = (".py", ".json")  # .json: step times, options of TensorRT-LLM's tools


@cache
def digest_of_measuring() -> str:
    """Digest of the code that starts a deployment and measures it, in hexadecimal digits."""
    return digest(files_of(MEASURES))


@cache
def digest_of_simulating() -> str:
    """Digest of the code that predicts a deployment, in hexadecimal digits."""
    return digest(files_of(SIMULATES))


def files_of(parts: Iterable[str], package: Path = PACKAGE) -> list[Path]:
    """The source and data files of these folders and files, in order of their paths.

    Files of EXCLUDED and command lines (`__main__.py`) are left out.
    """
    found = []
    for part in parts:
        path = package / part
        found += [path] if path.is_file() else [f for f in path.rglob("*") if f.suffix in SUFFIXES]
    names = {path.relative_to(package).as_posix(): path for path in found}
    commands = {name for name in names if name.endswith("__main__.py")}
    return [names[name] for name in sorted(set(names) - EXCLUDED - commands)]


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of files, in hexadecimal digits.

    Comments, docstrings and layout of Python files do not change it.
    """
    total = hashlib.sha256()
    for path in files:
        text = path.read_text()
        content = without_comments(text) if path.suffix == ".py" else text
        total.update(f"{path.name}\0{content}\0".encode())
    return total.hexdigest()


def digest_of_bytes(files: Iterable[Path]) -> str:
    """SHA-256 of the names and the bytes of files, in hexadecimal digits."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def without_comments(source: str) -> str:
    """Python source without comments and docstrings, in the layout of `ast.unparse`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
