"""A study's report, from the store into a file, unless that very report is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from er.claims import documents, statements
from er.options import CONF
from er.results import code, kept, names

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

SENSITIVITY = "sensitivity.json"
MADE_BY = ("claims", "config", "report", "results", "simulation")  # rooms of er
FIGURES = code.PACKAGE.parent / "paper_figures"


@dataclass(frozen=True)
class Written:
    """A report's file, and the verdicts in it."""

    file: Path
    claims: list[list[str]]  # figure and claim, and the word of its verdict
    kept: bool  # the report was there already


def write(study: str, uri: str, folder: Path, ids: Sequence[str] = ()) -> Written:
    """Write a study's report into a folder, and its verdicts into MLflow.

    Raises ErError where the study has no runs.
    """
    from er.tracking import query

    runs = query.pinned(uri, ids) if ids else query.shown(uri, study)
    predicted = "-predicted" if any(run.clock == "virtual" for run in runs) else ""
    name = f"report-{study}{predicted}"
    file = folder / f"{name}.html"
    inputs = inputs_of(study, runs, folder)
    found = kept.find(folder, name, inputs)
    if found:
        return Written(file, found["claims"], kept=True)
    claims = _write(study, uri, runs, folder, file)
    kept.note(folder, name, inputs, [file], claims=claims)
    return Written(file, claims, kept=False)


def _write(
    study: str, uri: str, runs: "Sequence[PublishedRun]", folder: Path, file: Path
) -> list[list[str]]:
    from er import table1
    from er.claims import sensitivity
    from er.claims.verdicts import decide
    from er.report import page

    about = [claim for claim in statements.every() if claim.study == study]
    known = folder / SENSITIVITY
    rows = [table1.cells(config) for config in table1.configured()]
    verdicts = decide(about, runs)
    report = page.Report(
        study,
        runs,
        verdicts,
        (table1.HEADINGS, rows),
        sensitivity.load(known) if known.exists() and about else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(page.render(report))
    documents.log(verdicts, uri)
    return [[f"{v.claim.figure} {v.claim.id}", v.word] for v in verdicts]


def inputs_of(study: str, runs: "Sequence[PublishedRun]", folder: Path) -> str:
    """Of all that a report is made from: runs, claims, options, code."""
    sources = [path for room in MADE_BY for path in (code.PACKAGE / room).rglob("*.*")]
    files = [
        *[path for path in sources if path.suffix in (".py", ".html", ".json")],
        code.PACKAGE / "table1.py",
        *FIGURES.glob("*.py"),
        *CONF.rglob("*.yaml"),
        *statements.EXPERIMENTS.glob("*/claims.yaml"),
        *[run.files / names.PROVENANCE for run in runs],
        folder / SENSITIVITY,
    ]
    there = sorted(path for path in files if path.exists())
    return kept.inputs_of([study, [run.digest for run in runs]], there)
