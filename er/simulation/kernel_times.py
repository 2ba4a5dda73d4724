"""Kernel times in `data/`, and what to choose where none were measured."""

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from er.errors import ConfigError
from er.results.words import either
from er.simulation.spec import EngineSpec

DATA = resources.files("er.simulation") / "data"


@cache
def kernel_times(hardware: str) -> dict[str, Any]:
    """The table of a node type, in milliseconds. Raises ConfigError when there is none."""
    try:
        loaded: dict[str, Any] = json.loads((DATA / f"{hardware}.json").read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"hardware.name is {hardware}: no kernel times are kept for it: "
            f"choose {either(node_types())}"
        ) from None
    return loaded


def node_types() -> list[str]:
    """The node types with kernel times."""
    files = [item.name for item in DATA.iterdir() if item.name.endswith("_sxm.json")]
    return sorted(name.removesuffix(".json") for name in files)


def require_measured(rows: Iterable[str], precision_key: str, name: str, spec: EngineSpec) -> None:
    """Raise ConfigError, with what to choose instead, unless an engine is among the measured ones.

    They are called MODEL/PRECISION/tpN; `precision_key` is the setting that the precision is of.
    """
    model, precision, tp = name.split("/")
    kept = [tuple(row.split("/")) for row in rows]
    of_model = [(kind, size) for model_kept, kind, size in kept if model_kept == model]
    precisions = list(dict.fromkeys(kind for kind, _ in of_model))
    sizes = [size.removeprefix("tp") for kind, size in of_model if kind == precision]
    node = spec.hardware.name
    if not of_model:
        models = either(sorted({row[0] for row in kept}))
        raise ConfigError(f"deployment: no kernel times of {model} on {node}: choose {models}")
    if precision not in precisions:
        others = nodes_with(precision)
        elsewhere = f", or hardware={either(others)}" if others else ""
        raise ConfigError(
            f"{node} has no {precision.upper()}: "
            f"choose {precision_key}={either(precisions)}{elsewhere}"
        )
    if tp.removeprefix("tp") not in sizes:
        raise ConfigError(
            f"deployment: no kernel times of {model} in {precision} at tp={tp.removeprefix('tp')} "
            f"on {node}: choose deployment.tp={either(sizes)}"
        )


def nodes_with(precision: str) -> list[str]:
    """The node types with kernel times of matrix products in a precision."""
    return [
        node
        for node in node_types()
        if any(f"/{precision}/" in row for row in kernel_times(node)["matrices"])
    ]
