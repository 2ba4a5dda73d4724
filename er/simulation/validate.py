"""python -m er.simulation.validate: simulated figures beside published ones, as a table.

Rows that the correction was fitted on are marked; the error that counts is that of the others.
"""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from er.config import Model
from er.errors import ErError
from er.simulation.published import OFFLINE, SERVING, simulated_offline, simulated_serving
from er.simulation.spec import EngineSpec, spec_of
from er.sweep import plan


@dataclass(frozen=True)
class Comparison:
    """One published figure and ours."""

    row: str
    quantity: str
    published: float
    simulated: float
    fitted: bool

    @property
    def ratio(self) -> float:
        """Simulated over published."""
        return self.simulated / self.published


@functools.cache
def published_models() -> tuple[EngineSpec, dict[str, Model]]:
    """The default engine, with its correction, and the models that rows speak of."""
    specs = [spec_of(config) for config in plan(["deployment=b,e", "engine=simulated"], True)]
    return specs[0], {spec.model.name: spec.model for spec in specs}


def compare(base: EngineSpec, models: dict[str, Model]) -> list[Comparison]:
    """Every published figure with the correction of `base`."""
    found = []
    for row in SERVING:
        ours = simulated_serving(row, base, models)
        for quantity in ("ttft_s", "itl_s", "tokens_per_s"):
            figures = (getattr(row, quantity), getattr(ours, quantity))
            found.append(Comparison(row.name, quantity, *figures, row.fitted))
    for offline in OFFLINE:
        simulated = simulated_offline(offline, base, models).tokens_per_s
        found.append(
            Comparison(offline.name, "tokens_per_s", offline.tokens_per_s, simulated, False)
        )
    return found


def table(comparisons: Sequence[Comparison]) -> list[str]:
    """The comparisons in Markdown, then the mean errors."""
    lines = [
        "| published row (H100 SXM, 16 bit) | quantity | published | simulated | ratio | |",
        "|---|---|---|---|---|---|",
    ]
    for c in comparisons:
        mark = "fitted on" if c.fitted else ""
        lines.append(
            f"| {c.row} | {c.quantity} | {c.published:,.4g} | {c.simulated:,.4g} "
            f"| {c.ratio:.2f} | {mark} |"
        )
    return [*lines, "", *summary(comparisons)]


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """Mean and largest error of the rows that were not fitted on, by quantity."""
    lines = []
    held_out = [c for c in comparisons if not c.fitted]
    for kind in ("serving", "offline"):
        for quantity in ("ttft_s", "itl_s", "tokens_per_s"):
            ratios = [c.ratio for c in held_out if kind in c.row and c.quantity == quantity]
            if ratios:
                errors = np.abs(np.array(ratios) - 1)
                lines.append(
                    f"Held out, {kind}, {quantity}: mean error {errors.mean():.1%}, largest "
                    f"{errors.max():.1%}, over {len(ratios)} rows"
                )
    return lines


def main() -> int:
    """Print the table."""
    try:
        print("\n".join(table(compare(*published_models()))))
    except ErError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("INT8 has no published row here: its correction is extrapolated from 16 bit.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
