"""Which code decides a number, and its digest."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SHARED = [
    "corpus",
    "load",
    "routing",
    "results/point.py",
    "results/quantiles.py",
    "study/inputs.py",
]
SIMULATES = [
    *SHARED,
    "simulation",
    "study/inputs.py",
    "study/predicted.py",
    "study/settling.py",
    "study/capacity.py",
]
SERVES = ["engine", "gateway", "process", "server", "simulation"]
MEASURES = [*SHARED, *SERVES, "study/inputs.py", "study/measured.py"]
# Parts of these rooms that look at results, or prepare data that is kept in files.
APART = {
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
SUFFIXES = (".py", ".json")  # .json: step times, options of tools


@cache
def digest_of_measuring() -> str:
    """Digest of the code that starts a deployment and measures it, in hexadecimal digits."""
    return digest(files_of(MEASURES))


@cache
def digest_of_simulating() -> str:
    """Digest of the code that predicts a deployment, in hexadecimal digits."""
    return digest(files_of(SIMULATES))


def files_of(parts: Iterable[str], package: Path = PACKAGE) -> list[Path]:
    """Source and data files of rooms and modules, in order."""
    found = []
    for part in parts:
        path = package / part
        found += [path] if path.is_file() else [f for f in path.rglob("*") if f.suffix in SUFFIXES]
    names = {path.relative_to(package).as_posix(): path for path in found}
    edges = {name for name in names if name.endswith("__main__.py")}
    return [names[name] for name in sorted(set(names) - APART - edges)]


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over what files do: comments, docstrings and layout of Python change nothing."""
    total = hashlib.sha256()
    for path in files:
        text = path.read_text()
        content = without_comments(text) if path.suffix == ".py" else text
        total.update(f"{path.name}\0{content}\0".encode())
    return total.hexdigest()


def digest_of_bytes(files: Iterable[Path]) -> str:
    """SHA-256 over names and contents as they are."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def without_comments(source: str) -> str:
    """Python source as its syntax tree has it, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
