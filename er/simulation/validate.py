"""python -m er.simulation.validate: simulated figures beside published ones, as tables.

Rows that the correction was fitted on are marked; the error that counts is that of the others.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er import cli
from er.compose import plan
from er.simulation.as_published import Study, simulated_offline, simulated_serving
from er.simulation.published import (
    AT_ONCE,
    VARIABLE,
    Offline,
    Serving,
    engine_name,
    offline,
    serving,
)
from er.simulation.spec import spec_of

QUANTITIES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tokens_per_s": "tokens/s"}
OF_THE_STUDY = ["deployment=b,e", "hardware=h100_sxm,h200_sxm,a100_sxm", "engine=simulated"]


@dataclass(frozen=True)
class Comparison:
    """One published run and the same simulated."""

    published: Serving | Offline
    simulated: Serving | Offline

    @property
    def fitted(self) -> bool:
        """Whether the correction was fitted on it."""
        return isinstance(self.published, Serving) and self.published.fitted

    @property
    def lengths(self) -> str:
        """Tokens in and out, as the tables call them."""
        return f"{self.published.input_tokens}/{self.published.output_tokens}"

    def ratio(self, quantity: str) -> float:
        """Simulated over published."""
        return float(getattr(self.simulated, quantity) / getattr(self.published, quantity))


@functools.cache
def published_study() -> Study:
    """The default engine, with its correction, and what the published rows name."""
    specs = [spec_of(config) for config in plan(OF_THE_STUDY, True)]
    return Study(
        specs[0],
        {spec.model.name: spec.model for spec in specs},
        {spec.hardware.name: spec.hardware for spec in specs},
    )


def compare(study: Study) -> list[Comparison]:
    """Every published run with the correction of the study's engine."""
    served = [Comparison(row, simulated_serving(row, study)) for row in serving()]
    return served + [Comparison(row, simulated_offline(row, study)) for row in offline()]


def is_serving(c: Comparison) -> bool:
    """Whether requests arrive at an engine behind Triton."""
    return isinstance(c.published, Serving)


def is_offline(c: Comparison) -> bool:
    """Whether it is one of maximum throughput."""
    return isinstance(c.published, Offline)


def is_saturated_and_varies(c: Comparison) -> bool:
    """Whether requests of many lengths come all at once."""
    row = c.published
    return isinstance(row, Serving) and row.lengths == VARIABLE and row.requests_per_s == AT_ONCE


GROUPS: dict[str, Callable[[Comparison], bool]] = {
    "serving": is_serving,
    "serving, lengths that vary, all at once": is_saturated_and_varies,
    "maximum throughput": is_offline,
}
ALL_NODES = "all nodes"


def errors(
    comparisons: Sequence[Comparison], quantity: str, chosen: Callable[[Comparison], bool]
) -> NDArray[np.float64]:
    """Relative errors of the chosen runs that the correction was not fitted on."""
    ratios = np.array([c.ratio(quantity) for c in comparisons if chosen(c) and not c.fitted])
    relative: NDArray[np.float64] = np.abs(ratios - 1)
    return relative


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """Mean and largest error of what was not fitted on, in Markdown."""
    nodes = dict.fromkeys(c.published.hardware for c in comparisons)
    lines = [
        "| held out | runs | " + " | ".join(QUANTITIES.values()) + " |",
        "|---" * (2 + len(QUANTITIES)) + "|",
    ]
    for group, chosen in GROUPS.items():
        for node in [ALL_NODES, *nodes]:
            of_node = [c for c in comparisons if node in (ALL_NODES, c.published.hardware)]
            count = len(errors(of_node, "tokens_per_s", chosen))
            if count:
                cells = [mean_and_largest(of_node, quantity, chosen) for quantity in QUANTITIES]
                lines.append(f"| {group}, {node} | {count} | {' | '.join(cells)} |")
    return lines


def mean_and_largest(
    comparisons: Sequence[Comparison], quantity: str, chosen: Callable[[Comparison], bool]
) -> str:
    """Errors of one quantity, nothing where it was not published."""
    known = [c for c in comparisons if hasattr(c.published, quantity)]
    found = errors(known, quantity, chosen)
    return f"{found.mean():.1%} ({found.max():.1%})" if len(found) else ""


def ratios(comparisons: Sequence[Comparison]) -> list[str]:
    """Simulated over published in two tables, in Markdown: serving by arrivals, offline by lengths;
    `*` where the correction was fitted on TTFT and ITL."""
    served = [c for c in comparisons if isinstance(c.published, Serving)]
    limits = [c for c in comparisons if isinstance(c.published, Offline)]
    return [
        "TTFT, ITL, tokens/s: simulated over published (* fitted on TTFT and ITL)",
        "",
        *pivot(served, lambda c: f"{engine_name(c.published)}, {c.lengths}", arrivals, three),
        "",
        "Maximum throughput: simulated over published tokens/s",
        "",
        *pivot(
            limits,
            lambda c: engine_name(c.published),
            lambda c: c.lengths,
            lambda c: f"{c.ratio('tokens_per_s'):.2f}",
        ),
    ]


def arrivals(c: Comparison) -> str:
    """How the requests of a serving run come."""
    assert isinstance(c.published, Serving)
    return c.published.arrivals


def three(c: Comparison) -> str:
    """The ratios of a serving run."""
    mark = "*" if c.fitted else ""
    return ", ".join(f"{c.ratio(quantity):.2f}" for quantity in QUANTITIES) + mark


def pivot(
    comparisons: Sequence[Comparison],
    row: Callable[[Comparison], str],
    column: Callable[[Comparison], str],
    cell: Callable[[Comparison], str],
) -> list[str]:
    """A Markdown table with a cell for each comparison."""
    columns = list(dict.fromkeys(map(column, comparisons)))
    cells: dict[str, dict[str, str]] = {}
    for c in comparisons:
        cells.setdefault(row(c), {})[column(c)] = cell(c)
    return [
        f"| | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {name} | {' | '.join(found[c] for c in columns)} |" for name, found in cells.items()),
    ]


def values(comparisons: Sequence[Comparison]) -> list[str]:
    """Every figure, published and simulated, in Markdown."""
    lines = ["| run | quantity | published | simulated | ratio | |", "|---|---|---|---|---|---|"]
    for c in comparisons:
        for quantity, title in QUANTITIES.items():
            if not hasattr(c.published, quantity):
                continue
            theirs = getattr(c.published, quantity)
            unit = " ms" if quantity.endswith("_ms") else ""
            ours = getattr(c.simulated, quantity)
            mark = "fitted on" if c.fitted and unit else ""
            lines.append(
                f"| {c.published.name} | {title}{unit} | {theirs:,.5g} | {ours:,.5g} "
                f"| {c.ratio(quantity):.2f} | {mark} |"
            )
    return lines


def main() -> None:
    """Print all tables."""
    cli.parser("er.simulation.validate", "Simulated figures beside published ones.").parse_args()
    comparisons = compare(published_study())
    for table in (values(comparisons), ratios(comparisons), summary(comparisons)):
        print("\n".join(table), end="\n\n")
    print("INT8 has no published row here: its correction is extrapolated from 16 bit.")


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.validate", main))
