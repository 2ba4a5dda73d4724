"""python -m er.simulation.validate [--markdown]: simulated figures beside published ones.

The correction is fitted on half of the 16-bit runs (`published.split`); the errors that count are
those of the other half, and of all runs in FP8. Errors are given plainly, and beyond what rounding
hides: half of the last digit that was published. `--markdown` writes the tables between the markers
of docs/prediction.md.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from er import cli
from er.compose import plan
from er.config import Correction, Model
from er.simulation.as_published import Study, simulated_offline, simulated_serving
from er.simulation.published import (
    AT_ONCE,
    CHOSEN,
    HELD_OUT,
    VARIABLE,
    Offline,
    Serving,
    engine_name,
    fits,
    fp8,
    offline,
    serving,
)
from er.simulation.spec import spec_of

QUANTITIES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tokens_per_s": "tokens/s"}
OF_THE_STUDY = ["deployment=b,e", "hardware=h100_sxm,h200_sxm,a100_sxm", "engine=simulated"]
DOCS = Path(__file__).parents[2] / "docs" / "prediction.md"
BEGIN, END = "<!-- begin: validate -->", "<!-- end: validate -->"
THREADS = 2
Row = Serving | Offline


@dataclass(frozen=True)
class Comparison:
    """One published run and the same simulated."""

    published: Row
    simulated: Row

    @property
    def held_out(self) -> bool:
        """Whether nothing was fitted on it."""
        return self.published.split == HELD_OUT

    @property
    def lengths(self) -> str:
        """Tokens in and out, as the tables call them."""
        return f"{self.published.input_tokens}/{self.published.output_tokens}"

    def ratio(self, quantity: str) -> float:
        """Simulated over published."""
        return quantities_of(self.simulated)[quantity] / quantities_of(self.published)[quantity]

    def error(self, quantity: str, rounded: bool) -> float:
        """Relative error; with `rounded`, only what lies beyond the rounding of what was published,
        NaN where it was not."""
        known = quantities_of(self.published)
        if quantity not in known:
            return float("nan")
        plain = abs(self.ratio(quantity) - 1)
        half = half_digits(self.published)[quantity] / known[quantity]
        return max(plain - half, 0.0) if rounded else plain


def quantities_of(row: Row) -> dict[str, float]:
    """What was published of a run."""
    if isinstance(row, Serving):
        return {name: float(getattr(row, name)) for name in QUANTITIES}
    return {"tokens_per_s": row.tokens_per_s}


def half_digits(row: Row) -> dict[str, float]:
    """Half of the last digit of each: serving has whole numbers, maximum throughput hundredths."""
    return dict.fromkeys(quantities_of(row), 0.5 if isinstance(row, Serving) else 0.005)


@functools.cache
def published_study() -> Study:
    """The default engine, with its correction, and what the published rows name."""
    specs = [spec_of(config) for config in plan(OF_THE_STUDY, True)]
    models = {spec.model.name: spec.model for spec in specs}
    return Study(
        specs[0],
        {**models, "llama2_70b": llama2_70b(models["llama3_70b"])},
        {spec.hardware.name: spec.hardware for spec in specs},
    )


def llama2_70b(llama3: Model) -> Model:
    """The layers of Llama 3 70B, whose kernel times it takes, and a vocabulary of 32,000 tokens."""
    return replace(llama3, parameters=68_976_648_192, embedding_parameters=524_288_000)


def simulated(row: Row, study: Study, max_num_tokens: int = 8192) -> Row:
    """A published run as simulated."""
    if isinstance(row, Serving):
        return simulated_serving(row, study, max_num_tokens)
    return simulated_offline(row, study, max_num_tokens)


def sixteen_bit() -> list[Row]:
    """Published runs in 16 bits."""
    return [*serving(), *offline()]


def every_row() -> list[Row]:
    """All published runs."""
    return [*sixteen_bit(), *fp8()]


def compare(
    study: Study, rows: Sequence[Row] | None = None, max_num_tokens: int = 8192
) -> list[Comparison]:
    """Published runs, all if none are given, with the correction of the study's engine."""
    chosen = every_row() if rows is None else rows
    with ThreadPoolExecutor(THREADS) as pool:
        ours = pool.map(lambda row: simulated(row, study, max_num_tokens), chosen)
        return [Comparison(row, found) for row, found in zip(chosen, ours, strict=True)]


def is_serving(c: Comparison) -> bool:
    """Whether requests arrive at an engine behind Triton."""
    return isinstance(c.published, Serving)


def is_offline(c: Comparison) -> bool:
    """Whether it is one of maximum throughput in 16 bits."""
    return isinstance(c.published, Offline) and c.published.precision == "fp16"


def is_fp8(c: Comparison) -> bool:
    """Whether weights and KV cache are in FP8."""
    return isinstance(c.published, Offline) and c.published.precision == "fp8"


def is_saturated_and_varies(c: Comparison) -> bool:
    """Whether requests of many lengths come all at once."""
    row = c.published
    return isinstance(row, Serving) and row.lengths == VARIABLE and row.requests_per_s == AT_ONCE


Chosen = Callable[[Comparison], bool]
GROUPS: dict[str, Chosen] = {
    "serving": is_serving,
    "serving, lengths that vary, all at once": is_saturated_and_varies,
    "maximum throughput": is_offline,
    "FP8, maximum throughput": is_fp8,
}
# Errors to reach: group, quantity, of which errors what.
Aim = tuple[str, str, Callable[..., float], float]
AIMS: dict[str, Aim] = {
    "serving ITL, mean": ("serving", "itl_ms", np.mean, 0.05),
    "serving TTFT, mean": ("serving", "ttft_ms", np.mean, 0.07),
    "serving TTFT, largest": ("serving", "ttft_ms", np.max, 0.25),
    "serving tokens/s, mean": ("serving", "tokens_per_s", np.mean, 0.025),
    "maximum throughput, mean": ("maximum throughput", "tokens_per_s", np.mean, 0.05),
    "maximum throughput, largest": ("maximum throughput", "tokens_per_s", np.max, 0.12),
    "lengths that vary, saturated, tokens/s, largest": (
        "serving, lengths that vary, all at once",
        "tokens_per_s",
        np.max,
        0.08,
    ),
    "FP8, mean": ("FP8, maximum throughput", "tokens_per_s", np.mean, 0.10),
}


def errors(
    comparisons: Sequence[Comparison], quantity: str, chosen: Chosen = bool, rounded: bool = False
) -> NDArray[np.float64]:
    """Relative errors of the chosen runs."""
    found = np.array([c.error(quantity, rounded) for c in comparisons if chosen(c)])
    known: NDArray[np.float64] = found[~np.isnan(found)]
    return known


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


def held_out(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those that nothing was fitted on."""
    return [c for c in comparisons if c.held_out]


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


def mean_and_largest(comparisons: Sequence[Comparison], quantity: str) -> str:
    """Errors of one quantity, nothing where it was not published."""
    found = errors(comparisons, quantity)
    return f"{found.mean():.1%} ({found.max():.1%})" if len(found) else ""


def left_out() -> list[str]:
    """Errors on a node or model of which nothing was fitted on, in Markdown."""
    lines = [f"| fitted without | runs | {' | '.join(QUANTITIES.values())} | max. throughput |"]
    lines.append("|---" * 6 + "|")
    for name, correction in fits()["left_out"].items():
        rows = [row for row in sixteen_bit() if name in (row.hardware, row.model)]
        found = compare(published_study().corrected(Correction(**correction)), rows)
        served = [c for c in found if is_serving(c)]
        limits = [c for c in found if is_offline(c)]
        cells = [mean_and_largest(served, quantity) for quantity in QUANTITIES]
        cells.append(mean_and_largest(limits, "tokens_per_s"))
        lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return lines


def other_limits(study: Study) -> list[str]:
    """How the errors move with what was not published, in Markdown."""
    rows = [row for row in every_row() if row.split == HELD_OUT]
    variants = {
        "as taken: 8,192 tokens a step, 2 GB kept free": (study, 8192),
        "6,144 tokens a step": (study, 6144),
        "16,384 tokens a step": (study, 16384),
    }
    for gb in (1, 3):
        variants[f"{gb} GB kept free"] = (replace(study, activation_bytes=gb * 10**9), 8192)
    lines = [f"| limits | {' | '.join(AIMS)} |", "|---" * (1 + len(AIMS)) + "|"]
    for name, (of, max_num_tokens) in variants.items():
        found = compare(of, rows, max_num_tokens)
        cells = [
            f"{statistic(errors(found, quantity, GROUPS[group])):.1%}"
            for group, quantity, statistic, _ in AIMS.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def parameters() -> list[str]:
    """What was fitted, with 90% intervals by bootstrap over the runs, in Markdown."""
    kept = fits()
    lines = ["| engine.correction | fitted | 90% interval |", "|---|---|---|"]
    for name, (low, high) in kept["interval_90"].items():
        value = kept["candidates"][CHOSEN][name]
        lines.append(f"| {name} | {value:.3g} | {low:.3g} to {high:.3g} |")
    between = kept["spread_between_engines"]
    return [*lines, "", f"Engines differ from the common correction by {between:.1%} (one sigma)."]


def coverage(comparisons: Sequence[Comparison]) -> list[str]:
    """How many of the figures held out lie within the interval of the draws, in Markdown."""
    rows = [c.published for c in held_out(comparisons)]
    drawn = [
        compare(published_study().corrected(Correction(**draw)), rows) for draw in fits()["draws"]
    ]
    lines = ["| within the interval | TTFT | ITL | tokens/s |", "|---|---|---|---|"]
    for group, chosen in GROUPS.items():
        cells = []
        for quantity in QUANTITIES:
            inside = [
                min(ratios) - half <= 1 <= max(ratios) + half
                for at, row in enumerate(rows)
                if chosen(drawn[0][at]) and quantity in quantities_of(row)
                for half in [half_digits(row)[quantity] / quantities_of(row)[quantity]]
                for ratios in [[of[at].ratio(quantity) for of in drawn]]
            ]
            cells.append(f"{sum(inside)} of {len(inside)}" if inside else "")
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return lines


def ratios(comparisons: Sequence[Comparison]) -> list[str]:
    """Simulated over published in two tables, in Markdown: serving by arrivals, offline by lengths;
    `*` where the correction was fitted on the run."""
    served = [c for c in comparisons if isinstance(c.published, Serving)]
    limits = [c for c in comparisons if isinstance(c.published, Offline)]
    return [
        "TTFT, ITL, tokens/s: simulated over published (* fitted on)",
        "",
        *pivot(served, lambda c: f"{engine_name(c.published)}, {c.lengths}", arrivals),
        "",
        "Maximum throughput: simulated over published tokens/s (* fitted on)",
        "",
        *pivot(limits, lambda c: engine_name(c.published), lambda c: c.lengths),
    ]


def arrivals(c: Comparison) -> str:
    """How the requests of a serving run come."""
    assert isinstance(c.published, Serving)
    return c.published.arrivals


def cell(c: Comparison) -> str:
    """The ratios of a run."""
    known = quantities_of(c.published)
    return ", ".join(f"{c.ratio(quantity):.2f}" for quantity in known) + "*" * (not c.held_out)


def pivot(
    comparisons: Sequence[Comparison],
    row: Callable[[Comparison], str],
    column: Callable[[Comparison], str],
) -> list[str]:
    """A Markdown table with a cell for each comparison."""
    columns = list(dict.fromkeys(map(column, comparisons)))
    cells: dict[str, dict[str, str]] = {}
    for c in comparisons:
        cells.setdefault(row(c), {})[column(c)] = cell(c)
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, found in cells.items():
        lines.append(f"| {name} | {' | '.join(found.get(c, '') for c in columns)} |")
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
    yield parameters()
    yield ["### On a node or model that the fit has not seen", "", *left_out()]
    yield ["### Intervals", "", *coverage(chosen)]
    yield ["### Limits that were not published", "", *other_limits(study)]
    yield ["### Every run", "", *ratios(chosen)]


def write(text: str) -> None:
    """Put the tables between the markers of the page."""
    page = DOCS.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    parser = cli.parser("er.simulation.validate", "Simulated figures beside published ones.")
    parser.add_argument("--markdown", action="store_true", help=f"write them into {DOCS.name}")
    options = parser.parse_args(arguments)
    text = "\n\n".join("\n".join(table) for table in tables())
    print(text)
    if options.markdown:
        write(text)


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.validate", lambda: main(sys.argv[1:])))
