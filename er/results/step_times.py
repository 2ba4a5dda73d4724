"""How much of the step times behind predictions was measured, as every output marks it."""

from collections.abc import Iterable

from er.results import names
from er.results.run_dir import RunDir


def origin_of(run: RunDir) -> str:
    """Where the step times of a run's predictions come from, in words; empty without any."""
    return str(run.read(names.STEP_TIMES)["about"]) if run.has(names.STEP_TIMES) else ""


def describe_origins(origins: Iterable[tuple[str, str]]) -> str:
    """That of several deployments in one sentence, from pairs of a deployment and its origin: each
    part once, with the deployments that it is true of. Empty without any origin."""
    kinds: dict[str, dict[str, dict[str, None]]] = {}
    for deployment, origin in origins:
        for part in filter(None, origin.split("; ")):
            of_kind = kinds.setdefault(part.partition(" ")[0], {})
            of_kind.setdefault(part, {})[deployment] = None
    parts = [
        f"{part} ({', '.join(deployments)})"
        for of_kind in kinds.values()
        for part, deployments in of_kind.items()
    ]
    return f"Step times: {'; '.join(parts)}" if parts else ""
