"""Points of measured runs, as far as a simulation can be fitted on them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from er.config import Hardware, Model, Precision
from er.errors import ConfigError, ErError
from er.results import names
from er.results.run_dir import RunDir
from er.simulation.cost import kernel_times, kernels_of
from er.simulation.deployment import Delays, VirtualDeployment, delays_of
from er.simulation.spec import EngineSpec, settings_of

QUANTITIES = ("ttft_s", "tpot_s")


@dataclass(frozen=True)
class RecordedPoint:
    """One concurrency of one run: what was sent, and medians of what was measured."""

    run: str
    spec: EngineSpec
    engines: int
    delays: Delays
    concurrency: int
    warmup: int
    cooldown: int
    prompts: NDArray[np.int64]  # input tokens, output tokens, engine; warm-up first, cool-down last
    medians: dict[str, float]  # by quantity

    def simulated(self, spec: EngineSpec) -> dict[str, float]:
        """The same medians simulated with the correction of `spec`."""
        deployment = VirtualDeployment(spec, self.engines, self.delays)
        prompts = deployment.prompts(*self.prompts.T)
        loop = deployment.loop(
            self.concurrency,
            warmup_per_user=-(-self.warmup // self.concurrency),
            unmeasured=self.cooldown,
        )
        point = deployment.play(prompts, loop, self.warmup).point(
            self.concurrency, self.engines > 1
        )
        return {quantity: getattr(point, quantity).p50 for quantity in QUANTITIES}


def recorded_points(path: Path, base: EngineSpec) -> list[RecordedPoint]:
    """The valid points of the run at `path`; limits that its engine does not have are those of
    `base`.

    Raises ErError when it has none, or is no run of a deployment with kernel times.
    """
    run = RunDir(path)
    try:
        config, points = run.read(names.CONFIG), run.points()
        if "deployment" not in config:
            raise ConfigError(f"run={path} measured no deployment of er: its engine is not known")
        valid = [point.concurrency for point in points if not point.invalid]
        requests = run.requests()
        valid = sorted(set(valid) & set(requests.concurrency)) if len(requests) else []
        if not valid:
            reasons = dict.fromkeys(reason for point in points for reason in point.invalid)
            why = f" ({'; '.join(reasons)})" if reasons else ""
            raise ConfigError(
                f"run={path} has no valid point with requests{why}: give one that has"
            )
        kernels_of(kernel_times(config["hardware"]["name"]), spec_of_run(config, base))
        return [
            point_of(path.name, config, base, requests[requests.concurrency == concurrency])
            for concurrency in valid
        ]
    except ErError as error:
        raise (
            error if f"run={path}" in str(error) else ConfigError(f"run={path}: {error}")
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"run={path} cannot be read ({error!r}): give a run directory") from error


def point_of(
    run: str, config: dict[str, Any], base: EngineSpec, requests: pd.DataFrame
) -> RecordedPoint:
    """One point from its requests."""
    requests = requests.assign(cooldown=requests.get("cooldown", False))
    order = ["cooldown", "warmup", "index"]
    good = requests[requests.ok].sort_values(order, ascending=[True, False, True])
    measured = good[~good.warmup & ~good.cooldown]
    clock, engines = config["clock"], config["deployment"]["experts"]
    return RecordedPoint(
        run=run,
        spec=spec_of_run(config, base),
        engines=engines,
        delays=delays_of(
            engines > 1, Delays(clock["gateway_s"], clock["request_s"], clock["reply_s"])
        ),
        concurrency=int(good.concurrency.iloc[0]),
        warmup=int(good.warmup.sum()),
        cooldown=int(good.cooldown.sum()),
        prompts=np.stack([good.input_tokens, good.output_tokens, good.expert.clip(lower=0)], 1),
        medians={quantity: float(measured[quantity].median()) for quantity in QUANTITIES},
    )


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
