"""The ladder of Table I under a setting of what the paper does not say, predicted."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from er import compose
from er.claims import unknowns
from er.claims.comparisons import compare
from er.claims.statements import Claim
from er.claims.unknowns import Setting
from er.claims.verdicts import outcome_of
from er.config import Config, SimulatedEngine
from er.config.plain import plain
from er.results.point import Point
from er.tracking.query import PublishedRun

DEPLOYMENTS = "abcde"


class Predictions:
    """Points by configuration: what a setting does not change is predicted once."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, int], Point] = {}

    def points(
        self, config: Config, ladder: Sequence[int], *, intervals: bool = True
    ) -> list[Point]:
        """The predicted points, in order; without `intervals`, those that are new lack what they
        may be off by. Raises ConfigError when the deployment does not fit."""
        from er.study import predicted

        key = repr(replace(config, load=replace(config.load, concurrency=[1])))
        missing = [concurrency for concurrency in ladder if (key, concurrency) not in self._points]
        for concurrency, point in zip(
            missing, predicted.points(config, missing, intervals=intervals), strict=True
        ):
            self._points[key, concurrency] = point
        return [self._points[key, concurrency] for concurrency in ladder]


@cache
def configured(name: str, setting: Setting) -> Config:
    """A deployment of Table I under a setting."""
    if setting.of and name not in setting.of:
        return configured(name, unknowns.AS_CONFIGURED)
    [config] = compose.plan(["clock=virtual", f"deployment={name}", *setting.overrides])
    engine = config.engine
    assert isinstance(engine, SimulatedEngine)
    scales = {
        scale: getattr(engine.correction, scale) * setting.step_times
        for scale in ("memory_scale", "compute_scale", "communication_scale")
    }
    return replace(config, engine=replace(engine, correction=replace(engine.correction, **scales)))


def runs_under(
    setting: Setting, ladder: Sequence[int], predictions: Predictions
) -> dict[str, list[PublishedRun]]:
    """A predicted run of each deployment, as claims read them."""
    runs = {}
    for name in DEPLOYMENTS:
        config = configured(name, setting)
        points = predictions.points(config, ladder)
        runs[name] = [
            PublishedRun(
                f"{setting.name} {name}", "", name, "", "simulated", "virtual", "", "", points, [],
                plain(config), {}, Path(),
            )
        ]  # fmt: skip
    return runs


def outcomes(claims: Sequence[Claim], runs: dict[str, list[PublishedRun]]) -> list[str]:
    """Whether each claim holds, by the ratios and what predictions may be off by."""
    return [outcome_of(*compare(claim, runs, None)).value for claim in claims]
