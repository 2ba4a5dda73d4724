"""How much of the step times behind a prediction was measured, as every output marks it."""

from collections.abc import Iterable

from er.results import names
from er.results.run_dir import RunDir


def origin_of(run: RunDir) -> str:
    """Where the step times of a run's predictions come from, in words; empty without any."""
    return str(run.read(names.STEP_TIMES)["about"]) if run.has(names.STEP_TIMES) else ""


def marks(origins: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence for each origin, from pairs of a deployment and its origin."""
    found: dict[str, dict[str, None]] = {}
    for deployment, origin in origins:
        if origin:
            found.setdefault(origin, {})[deployment] = None
    return [f"Step times of {', '.join(of)}: {origin}" for origin, of in found.items()]
