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
    Chosen,
    Comparison,
    compare,
    errors,
    held_out,
    is_fp8,
    is_offline,
    is_saturated,
    is_serving,
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


def aims(of: dict[str, Sequence[Comparison]]) -> list[str]:
    """Targets and what was reached, for several corrections by name, the first of them both beyond
    rounding and plain; in Markdown."""
    first, *others = of
    lines = [
        f"| error on runs held out | target | {first}, beyond rounding | {' | '.join(of)} |",
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

    def off(quantity: str, of: Chosen) -> str:
        return f"{errors(chosen, quantity, of).mean():.0%}"

    in_fp8 = [c.ratio("tokens_per_s") for c in chosen if is_fp8(c)]
    return (
        f"Held against {count} figures that NVIDIA published and nothing was fitted on, "
        f"predictions are off by, on average: time to first token {off('ttft_ms', is_serving)}, "
        f"inter-token latency {off('itl_ms', is_serving)}, "
        f"tokens/s behind Triton {off('tokens_per_s', is_serving)} "
        f"(saturated {off('tokens_per_s', is_saturated)}; else arrivals set it), "
        f"maximum throughput {off('tokens_per_s', is_offline)}, in FP8 "
        f"{off('tokens_per_s', is_fp8)} (too slow in {sum(r < 1 for r in in_fp8)} of {len(in_fp8)} "
        "runs)."
    )


def main(arguments: Sequence[str]) -> None:
    """Print all tables, and what they say in one sentence."""
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
    accuracy = sentence(compare(published_study()))
    print(f"{accuracy}\n\n{text}")
    if options.write:
        replace_between(options.write, *TABLES, text)
        replace_between(options.write, *SENTENCE, accuracy)


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.validate", lambda: main(sys.argv[1:])))
