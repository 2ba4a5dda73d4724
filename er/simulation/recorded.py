"""Points of measured runs, as far as a simulation can be fitted on them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from er.config import Arrivals, Hardware, Model, Precision
from er.errors import ConfigError, ErError
from er.results import names
from er.results.point import Point
from er.results.run_dir import RunDir
from er.simulation.cost import NS_PER_S, kernels_of
from er.simulation.deployment import Delays, VirtualDeployment, delays_of
from er.simulation.kernel_times import kernel_times
from er.simulation.outcome import Outcome
from er.simulation.spec import EngineSpec, settings_of
from er.simulation.tables import Prompts, Sent

QUANTITIES = ("ttft_s", "tpot_s")


# Of each request. "measured" is neither warm-up nor cool-down.
COLUMNS = (
    "index",
    "warmup",
    "ok",
    "input_tokens",
    "output_tokens",
    "expert",
    "send_s",
    *QUANTITIES,
)


@dataclass(frozen=True)
class RecordedPoint:
    """One concurrency of one run: what was sent, and medians of what was measured."""

    run: str
    simulates: str  # what of it was no engine on a GPU, in words; empty for nothing
    spec: EngineSpec
    engines: int
    delays: Delays
    concurrency: int
    prompts: NDArray[np.int64]  # input tokens, output tokens, engine, in order of sending
    measured: NDArray[np.bool_]  # of each prompt
    warmup: int  # how many prompts, the first ones
    # When each prompt was sent, where something else than answers decides that; else empty.
    send_s: NDArray[np.float64]
    medians: dict[str, float]  # by quantity

    def simulated(self, spec: EngineSpec) -> dict[str, float]:
        """The same medians simulated with the correction of `spec`."""
        deployment = VirtualDeployment(spec, self.engines, self.delays)
        prompts = deployment.prompts(*self.prompts.T)
        if len(self.send_s):
            loop = deployment.loop(len(prompts), start_s=self.send_s, once=True)
            return medians_of(deployment.play(prompts, loop), self.measured)
        loop = deployment.loop(
            self.concurrency,
            warmup_per_user=-(-self.warmup // self.concurrency),
            unmeasured=len(prompts) - self.warmup - int(self.measured.sum()),
        )
        outcome = deployment.play(prompts, loop, self.warmup)
        return medians_of(outcome, outcome.measured)


def medians_of(outcome: Outcome, chosen: NDArray[np.bool_]) -> dict[str, float]:
    """Medians over the chosen requests, in order of sending."""
    send_s, first_s, end_s = outcome.times[chosen].T / NS_PER_S
    gaps = outcome.prompts[outcome.sent[chosen, Sent.prompt], Prompts.output] - 1
    several = gaps > 0
    tpot_s = (end_s - first_s)[several] / gaps[several]
    return {"ttft_s": float(np.median(first_s - send_s)), "tpot_s": float(np.median(tpot_s))}


def recorded_points(path: Path, base: EngineSpec) -> list[RecordedPoint]:
    """The valid points of the run at `path`; limits that its engine does not have are those of
    `base`.

    Raises ErError when it has none, or is no run of a deployment with kernel times.
    """
    run = RunDir(path)
    try:
        config = run.read(names.CONFIG)
        if "deployment" not in config:
            raise ConfigError(f"run={path} measured no deployment of er: its engine is not known")
        if config["engine"].get("kv_cache_reuse"):
            raise ConfigError(
                f"run={path} reused its KV cache, and keeps not which prompts begin alike: give "
                "one with engine.kv_cache_reuse=false"
            )
        spec = spec_of_run(config, base)
        kernels_of(kernel_times(config["hardware"]["name"]), spec)
        usable, reasons = [], []
        for point in run.points():
            requests = run.requests_of(point.concurrency, COLUMNS)
            unusable = why_unusable(point, requests)
            if requests is None or unusable:
                reasons += unusable
            else:
                usable.append(point_of(path.name, config, spec, point.concurrency, requests))
        if not usable:
            why = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
            raise ConfigError(
                f"run={path} has no valid point with requests{why}: give one that has"
            )
        return usable
    except ErError as error:
        raise (
            error if f"run={path}" in str(error) else ConfigError(f"run={path}: {error}")
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"run={path} cannot be read ({error!r}): give a run directory") from error


def why_unusable(point: Point, requests: pd.DataFrame | None) -> list[str]:
    """Why nothing can be fitted on a point; empty where it can."""
    if point.invalid:
        return point.invalid
    if requests is None:
        return ["its requests are missing"]
    measured = requests[requests.measured & requests.ok]
    if len(measured) < point.requests - point.errors:
        return ["only the last of its requests are kept"]
    if not (measured[[*QUANTITIES]].median() > 0).all():
        return ["no answer has two tokens"]
    return []


def point_of(
    run: str, config: dict[str, Any], spec: EngineSpec, concurrency: int, requests: pd.DataFrame
) -> RecordedPoint:
    """One point from its requests."""
    load, clock, engines = config["load"], config["clock"], config["deployment"]["experts"]
    good = requests[requests.ok]
    waits_only = load["arrivals"] == Arrivals.closed_loop.value and not (
        load["think_time_s"] or load["ramp_s"]
    )
    if waits_only:
        cooldown = ~good.measured & ~good.warmup
        good = good.assign(cooldown=cooldown).sort_values(
            ["cooldown", "warmup", "index"], ascending=[True, False, True]
        )
    else:
        good = good.sort_values(["send_s", "index"])
    return RecordedPoint(
        run=run,
        simulates=what_it_simulates(config),
        spec=spec,
        engines=engines,
        delays=delays_of(
            engines > 1, Delays(clock["gateway_s"], clock["request_s"], clock["reply_s"])
        ),
        concurrency=concurrency,
        prompts=np.stack([good.input_tokens, good.output_tokens, good.expert.clip(lower=0)], 1),
        measured=good.measured.to_numpy(bool),
        warmup=int(good.warmup.sum()),
        send_s=np.zeros(0) if waits_only else (good.send_s - good.send_s.min()).to_numpy(),
        medians={
            quantity: float(good[good.measured][quantity].median()) for quantity in QUANTITIES
        },
    )


def what_it_simulates(config: dict[str, Any]) -> str:
    """What of a run was no engine on a GPU, in words; empty for nothing."""
    if config["clock"]["kind"] == "virtual":
        return "predicted on a virtual clock"
    return "measured on simulated engines" if config["engine"]["kind"] == "simulated" else ""


def spec_of_run(config: dict[str, Any], base: EngineSpec) -> EngineSpec:
    """The engine of a run, as a simulated one."""
    deployment = config["deployment"]
    known = {field.name for field in fields(base.engine)} - {"kind"}
    known_settings = {name: value for name, value in config["engine"].items() if name in known}
    return EngineSpec(
        Model(**deployment["model"]),
        Precision(deployment["precision"]),
        deployment["tp"],
        Hardware(**config["hardware"]),
        replace(base.engine, **settings_of(known_settings)),
    )


def kept_aside(
    points: Sequence[RecordedPoint],
) -> tuple[list[RecordedPoint], list[RecordedPoint]]:
    """Points to fit on and points to keep aside: every other one, repeats of a point together."""
    sides: dict[tuple[str, str, int], int] = {}
    for point in points:
        sides.setdefault(same_point(point), len(sides) % 2)
    found: tuple[list[RecordedPoint], list[RecordedPoint]] = ([], [])
    for point in points:
        found[sides[same_point(point)]].append(point)
    return found


def same_point(point: RecordedPoint) -> tuple[str, str, int]:
    """What repeats of a point share."""
    return point.spec.hardware.name, f"{point.engines} x {point.spec.name}", point.concurrency


def spread(points: Sequence[RecordedPoint]) -> dict[str, float]:
    """Largest difference between repeats of one point, as a share of their mean; NaN without."""
    found: dict[str, float] = {}
    for quantity in QUANTITIES:
        groups: dict[tuple[str, str, int], list[float]] = {}
        for point in points:
            groups.setdefault(same_point(point), []).append(point.medians[quantity])
        spreads = [
            (max(group) - min(group)) / float(np.mean(group))
            for group in groups.values()
            if len(group) > 1
        ]
        found[quantity] = max(spreads, default=float("nan"))
    return found
