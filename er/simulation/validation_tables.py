"""Tables of `er.simulation.validate`, in Markdown: fits, intervals, limits, every run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from er.config import Correction
from er.simulation.as_published import Study
from er.simulation.comparison import (
    AIMS,
    GROUPS,
    PREDICTED,
    QUANTITIES,
    THREADS,
    Comparison,
    Row,
    bounds,
    compare,
    errors,
    every_row,
    half_digits,
    is_offline,
    is_serving,
    precision_of,
    published_study,
    quantities_of,
    sixteen_bit,
)
from er.simulation.fit import CANDIDATES, CHOSEN
from er.simulation.published import HELD_OUT, Offline, Serving, engine_name, fits
from er.simulation.uncertainty import factor_of


def mean_and_largest(comparisons: Sequence[Comparison], quantity: str) -> str:
    """Errors of one quantity, nothing where it was not published."""
    found = errors(comparisons, quantity)
    return f"{found.mean():.1%} ({found.max():.1%})" if len(found) else ""


def left_out() -> list[str]:
    """Errors on a node or model of which nothing was fitted on, in Markdown."""
    lines = [f"| fitted without | runs | {' | '.join(QUANTITIES.values())} | max. throughput |"]
    lines.append("|---" * 6 + "|")
    for name, fitted in fits()["left_out"].items():
        rows = [row for row in sixteen_bit() if name in (row.hardware, row.model)]
        study = replace(published_study(), kept_share=fitted["kept_share"])
        found = compare(study.corrected(Correction(**fitted["correction"])), rows)
        served = [c for c in found if is_serving(c)]
        limits = [c for c in found if is_offline(c)]
        cells = [mean_and_largest(served, quantity) for quantity in QUANTITIES]
        cells.append(mean_and_largest(limits, "tokens_per_s"))
        lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return lines


def other_limits(study: Study) -> list[str]:
    """How the errors move with what NVIDIA does not say of its runs, in Markdown."""
    rows = [row for row in every_row() if row.split == HELD_OUT]
    variants = {
        "as taken": study,
        "behind Triton 8,192 tokens a step in place of 16,384": replace(study, max_num_tokens=8192),
        "behind Triton 6,144 tokens a step": replace(study, max_num_tokens=6144),
        "at maximum throughput 2,048 requests and 8,192 tokens": replace(
            study, default_limits=True
        ),
        "1 GB less for the KV cache": replace(study, further_bytes=10**9),
        "on H100 at maximum throughput nothing kept besides": replace(study, kept_share=0.0),
    }
    lines = [f"| limits | {' | '.join(AIMS)} |", "|---" * (1 + len(AIMS)) + "|"]
    for name, of in variants.items():
        found = compare(of, rows)
        cells = [
            f"{statistic(errors(found, quantity, GROUPS[group])):.1%}"
            for group, quantity, statistic, _ in AIMS.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def candidates() -> list[str]:
    """What was tried on the half to fit on, in Markdown."""
    kept = fits()
    lines = ["| correction | parameters | loss | cross-validated |", "|---|---|---|---|"]
    for name, groups in CANDIDATES.items():
        loss, cross_validated = kept["losses"][name], kept["cross_validated"][name]
        lines.append(f"| {name} | {len(groups)} | {loss:.1f} | {cross_validated:.1f} |")
    return lines


def kept_shares() -> list[str]:
    """What engines of trtllm-bench may keep on H100 besides, on the half to fit on, in Markdown."""
    kept = fits()
    lines = ["| of the weights kept besides | loss | cross-validated |", "|---|---|---|"]
    for share, (loss, cross_validated) in kept["kept_shares"].items():
        mark = "**" if share == f"{kept['kept_share']:.1%}" else ""
        lines.append(f"| {mark}{share}{mark} | {loss:.1f} | {cross_validated:.1f} |")
    return lines


def parameters() -> list[str]:
    """What was fitted, with 90% intervals by bootstrap over the runs, in Markdown."""
    kept = fits()
    lines = ["| engine.correction | fitted | 90% interval |", "|---|---|---|"]
    for name, (low, high) in kept["interval_90"].items():
        value = kept["candidates"][CHOSEN][name]
        lines.append(f"| {name} | {value:.3g} | {low:.3g} to {high:.3g} |")
    factors, unseen = (
        ", ".join(f"{name} {of:.2f}" for name, of in kept[kind].items())
        for kind in ("residual_factors", "unseen_factors")
    )
    return [
        *lines,
        "",
        f"Engines differ from the common correction by {kept['spread_between_engines']:.1%} "
        "(one sigma).",
        f"What the model cannot explain, as a factor around the draws: {factors}.",
        f"The same where nothing of the kind was fitted on, which is FP8: {unseen}.",
    ]


def coverage(comparisons: Sequence[Comparison]) -> list[str]:
    """How many of the figures held out lie within the intervals that predictions have, in
    Markdown."""
    chosen = [c for c in comparisons if c.held_out]
    study = published_study()
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda c: bounds(c.published, study), chosen))
    inside = [inside_of(c.published, of) for c, of in zip(chosen, found, strict=True)]
    lines = ["| within the interval | TTFT | ITL | tokens/s |", "|---|---|---|---|"]
    for group, belongs in GROUPS.items():
        cells = []
        for quantity in QUANTITIES:
            hits = [
                of[quantity]
                for c, of in zip(chosen, inside, strict=True)
                if belongs(c) and quantity in of
            ]
            cells.append(f"{sum(hits)} of {len(hits)} ({np.mean(hits):.0%})" if hits else "")
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return lines


def inside_of(row: Row, found: dict[str, tuple[float, float]]) -> dict[str, bool]:
    """Of each published figure, whether it lies within these bounds, widened by what the model
    cannot explain; half of its last digit is left out."""
    known, half = quantities_of(row), half_digits(row)
    return {
        name: low / factor - half[name] <= known[name] <= high * factor + half[name]
        for name, (low, high) in found.items()
        for factor in [factor_of(PREDICTED[name], precision_of(row))]
    }


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
