"""python -m er.simulation.validate [--write FILE]: simulated figures beside published ones.

The correction is fitted on half of the 16-bit runs (`published.split`); the errors that count are
those of the other half, and of all runs in FP8. Errors are given plainly, and beyond what rounding
hides: half of the last digit that was published. `--write docs/prediction.md` writes the tables
there.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from er import cli
from er.config import Correction
from er.results.marked import around, replace_between
from er.simulation.comparison import (
    AIMS,
    GROUPS,
    QUANTITIES,
    Comparison,
    compare,
    errors,
    held_out,
    published_study,
)
from er.simulation.fit import CHOSEN
from er.simulation.published import fits
from er.simulation.validation_tables import (
    candidates,
    coverage,
    kept_shares,
    left_out,
    mean_and_largest,
    other_limits,
    parameters,
    ratios,
)

TABLES = ("<!-- begin: validate -->", "<!-- end: validate -->")
SENTENCE = ("<!-- begin: accuracy -->", "<!-- end: accuracy -->")
SAID = {
    "time to first token": ("serving", "ttft_ms"),
    "inter-token latency": ("serving", "itl_ms"),
    "tokens/s behind Triton": ("serving", "tokens_per_s"),
    "maximum throughput": ("maximum throughput", "tokens_per_s"),
    "maximum throughput in FP8": ("FP8, maximum throughput", "tokens_per_s"),
}


def aims(of: dict[str, Sequence[Comparison]]) -> list[str]:
    """What is to be reached, and what was, for several corrections by name, the first of them both
    beyond rounding and plain; in Markdown."""
    first, *others = of
    lines = [
        f"| error on runs held out | reach | {first}, beyond rounding | {' | '.join(of)} |",
        "|---" * (3 + len(of)) + "|",
    ]
    for title, (group, quantity, statistic, reach) in AIMS.items():
        cells = [
            statistic(errors(held_out(of[name]), quantity, GROUPS[group], rounded))
            for name, rounded in [(first, True), (first, False), *((o, False) for o in others)]
        ]
        lines.append(f"| {title} | {reach:.1%} | {' | '.join(f'{cell:.1%}' for cell in cells)} |")
    return lines


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """Mean and largest error by group and node, in Markdown."""
    lines = ["| runs | | " + " | ".join(QUANTITIES.values()) + " |", "|---" * 5 + "|"]
    for group, chosen in GROUPS.items():
        for node in dict.fromkeys(c.published.hardware for c in comparisons):
            of_node = [c for c in comparisons if c.published.hardware == node and chosen(c)]
            if of_node:
                cells = [mean_and_largest(of_node, quantity) for quantity in QUANTITIES]
                lines.append(f"| {group}, {node} | {len(of_node)} | {' | '.join(cells)} |")
    return lines


def tables() -> Iterator[list[str]]:
    """Every table, with its heading."""
    study, kept = published_study(), fits()
    chosen = compare(study)
    names = ["one scale", "none"]
    others = {
        name: compare(study.corrected(Correction(**kept["candidates"][name]))) for name in names
    }
    yield ["### Errors on runs held out", "", *aims({"chosen": chosen, **others})]
    yield [f"`chosen` is: {CHOSEN}. By node, mean (largest), held out:", ""]
    yield summary(held_out(chosen))
    yield ["### Chosen on the half to fit on", "", *candidates(), "", *parameters()]
    yield ["Engines in 16 bits at maximum throughput on H100:", "", *kept_shares()]
    yield ["### On a node or model that the fit has not seen", "", *left_out()]
    yield ["### Intervals", "", *coverage(chosen)]
    yield ["### Limits that NVIDIA does not name", "", *other_limits(study)]
    yield ["### Every run", "", *ratios(chosen)]


def sentence(comparisons: Sequence[Comparison]) -> str:
    """How good predictions are, from the runs held out, in plain words."""
    chosen = held_out(comparisons)
    count = sum(len(errors([c], name)) for c in chosen for name in QUANTITIES)
    parts = [
        f"{title} {errors(chosen, quantity, GROUPS[group]).mean():.0%}"
        for title, (group, quantity) in SAID.items()
    ]
    return (
        f"Held against {count} figures that NVIDIA published and nothing was fitted on, "
        f"predictions are off by, on average: {', '.join(parts)}."
    )


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    parser = cli.parser("er.simulation.validate", "Simulated figures beside published ones.")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help=f"write them between the lines {TABLES[0]} and {TABLES[1]}, and what they say in one "
        f"sentence between {SENTENCE[0]} and {SENTENCE[1]}",
    )
    options = parser.parse_args(arguments)
    if options.write:
        for place in (TABLES, SENTENCE):
            around(options.write, *place)
    text = "\n\n".join("\n".join(table) for table in tables())
    print(text)
    if options.write:
        replace_between(options.write, *TABLES, text)
        replace_between(options.write, *SENTENCE, sentence(compare(published_study())))


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.validate", lambda: main(sys.argv[1:])))
