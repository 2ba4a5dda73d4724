"""python -m er.simulation.calibrate: fit the correction of kernel times.

The correction is engine.step_time_scale and engine.host_overhead_s. It is fitted on the published
rows that are marked for it, and minimises the sum of squared logarithms of simulated over published
TTFT and ITL.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import replace

from er.errors import ErError
from er.simulation.published import SERVING, simulated_serving
from er.simulation.spec import EngineSpec
from er.simulation.validate import published_models

START = (1.0, 0.0005)  # scale; host overhead in seconds
FIRST_STEP = (0.2, 0.0004)
LAST_STEP = 0.02  # of the first


def corrected(spec: EngineSpec, scale: float, overhead_s: float) -> EngineSpec:
    """The engine with another correction."""
    engine = replace(spec.engine, step_time_scale=scale, host_overhead_s=overhead_s)
    return replace(spec, engine=engine)


def minimise(loss: Callable[[float, float], float]) -> tuple[float, float]:
    """Least of `loss` over (scale, overhead), by steps along either axis that halve when none
    helps; the overhead stays at or above 0."""
    best, least, step = START, loss(*START), 1.0
    while step >= LAST_STEP:
        moves = [(step * FIRST_STEP[0], 0.0), (0.0, step * FIRST_STEP[1])]
        tried = [
            (best[0] + sign * scale, max(0.0, best[1] + sign * overhead))
            for scale, overhead in moves
            for sign in (1, -1)
        ]
        losses = [loss(*point) for point in tried]
        if min(losses) < least:
            least = min(losses)
            best = tried[losses.index(least)]
        else:
            step /= 2
    return best


def published_loss(scale: float, overhead_s: float) -> float:
    """How far the marked published rows are from the simulation with this correction."""
    base, models = published_models()
    total = 0.0
    for row in SERVING:
        if row.fitted:
            ours = simulated_serving(row, corrected(base, scale, overhead_s), models)
            total += math.log(ours.ttft_s / row.ttft_s) ** 2 + math.log(ours.itl_s / row.itl_s) ** 2
    return total


def main() -> int:
    """Fit and print the correction."""
    try:
        scale, overhead_s = minimise(published_loss)
    except ErError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"engine.step_time_scale={scale:.3f} engine.host_overhead_s={overhead_s:.6f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
