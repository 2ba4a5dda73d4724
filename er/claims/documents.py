"""Verdicts as people read them: in a terminal, and as Markdown between marks of a document."""

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from er.claims import overview
from er.claims.verdicts import Verdict
from er.results import step_times
from er.results.marked import replace_between

ORIGINS = {
    "virtual": "predicted on a virtual clock",
    "real": "measured at the client",
}
THRESHOLDS = (
    "From where a claim turns (until which concurrency E is ahead, from which one D queues, how "
    "slow the gateway would have to be): python -m er.claims.sensitivity"
)
INTERVALS = (
    "In brackets: intervals that hold together with 95% confidence for each claim, from a "
    "bootstrap over requests, the same prompts for both sides."
)
LABELS = {"paper": "[paper]", "inferred": "[inferred]", "project": "[project]"}


def table(verdicts: Sequence[Verdict]) -> Table:
    """For a terminal."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    for heading, ratio in (("claim", 4), ("verdict", 2), ("why", 5)):
        result.add_column(heading, overflow="fold", ratio=ratio)
    for verdict in verdicts:
        claim = verdict.claim
        result.add_row(
            escape(f"{claim.figure} {claim.id}\n{claim.says} {LABELS[claim.label]}"),
            verdict.word,
            escape(verdict.explanation),
        )
        result.add_section()
    return result


def origin(verdicts: Sequence[Verdict]) -> str:
    """What decided these verdicts, and how much of the step times of predictions was measured."""
    decided = [verdict for verdict in verdicts if verdict.runs]
    if not decided:
        return "Decided by no run: none is there."
    kinds = sorted({verdict.engine_kind for verdict in decided})
    clocks = sorted({ORIGINS.get(verdict.clock, verdict.clock) for verdict in decided})
    runs = dict.fromkeys(run for verdict in decided for run in verdict.runs)
    repeats = max(verdict.repeats for verdict in decided)
    several = f", up to {repeats} seeds each" if repeats > 1 else ""
    sentences = [
        f"Decided by runs of {' and '.join(kinds)} engines, {' or '.join(clocks)}{several}: "
        f"{', '.join(run[:8] for run in runs)}",
        step_times.describe_origins(
            sorted(pair for verdict in decided for pair in verdict.step_times.items())
        ),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def markdown(verdicts: Sequence[Verdict]) -> str:
    """A table for a document, and what decided it."""
    lines = [
        "| claim | formula | verdict | why |",
        "|---|---|---|---|",
    ]
    for verdict in verdicts:
        claim = verdict.claim
        cells = (
            f"**{claim.figure} {claim.id}** {claim.says} {LABELS[claim.label]}",
            f"{claim.formula}. {claim.reading}",
            f"**{verdict.word}**",
            verdict.explanation,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", f"{origin(verdicts)} {INTERVALS}"])


def log(verdicts: Sequence[Verdict], uri: str) -> None:
    """Put the verdicts into MLflow, with each run that decided one."""
    from er.tracking import claims

    by_run: dict[str, list[dict[str, object]]] = {}
    for verdict in verdicts:
        for run in verdict.mlflow_runs:
            by_run.setdefault(run, []).append(verdict.as_json())
    claims.log(uri, int(time.time() * 1000), by_run)


def write(
    verdicts: Sequence[Verdict],
    experiments: Path,
    page: Path | None = None,
    readme: Path | None = None,
) -> list[Path]:
    """Put the verdicts into each experiment's README, all of them into a page, and one row for each
    into the table of a README, where there are such.

    A document has a place for each origin: what was predicted does not overwrite what was measured.
    """
    written = []
    for figure, of_figure in groupby(verdicts, key=lambda verdict: verdict.claim.figure):
        own = experiments / figure / "README.md"
        if not own.exists():
            own.write_text(f"# Claims about {figure}\n")
        _write(own, list(of_figure))
        written.append(own)
    if page:
        _write(page, verdicts)
        written.append(page)
    if readme:
        overview.write(readme, verdicts, predicted=_is_predicted(verdicts))
        written.append(readme)
    return written


def _write(file: Path, verdicts: Sequence[Verdict]) -> None:
    what = "predicted" if _is_predicted(verdicts) else "measured"
    begin = f"<!-- {what}: written by python -m er.claims write=true -->"
    title = f"## Held against the paper, {what}"
    text = f"{title}\n\n{markdown(verdicts)}"
    replace_between(file, begin, f"<!-- end of what was {what} -->", text, add=True)


def _is_predicted(verdicts: Sequence[Verdict]) -> bool:
    return any(verdict.runs and verdict.clock == "virtual" for verdict in verdicts)
