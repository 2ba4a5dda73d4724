"""A study's report, from the store into a file, unless that very report is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from er.claims import documents, statements
from er.errors import ConfigError
from er.options import CONF
from er.results import code, kept, labels, names
from er.results.files import write_whole

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

SENSITIVITY = "sensitivity.json"
MADE_BY = ("claims", "config", "report", "results", "simulation")  # rooms of er
FIGURES = code.PACKAGE.parent / "paper_figures"


@dataclass(frozen=True)
class Written:
    """A report's file, and the verdicts in it."""

    file: Path
    claims: list[dict[str, str]]  # figure, id, says, verdict, why: of each
    kept: bool  # the report was there already


def write(study: str, uri: str, folder: Path, runs: "Sequence[PublishedRun]") -> Written:
    """Write the report of a study's runs into a folder, and their verdicts into MLflow.

    Raises ConfigError where the runs have no points of deployments.
    """
    require_points(runs)
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


def require_points(runs: "Sequence[PublishedRun]") -> None:
    """Raise ConfigError unless a report can show all of these runs."""
    for run in runs:
        if "deployment" not in run.config or not run.points:
            what = "is of no deployment of er" if run.points else "has no points"
            raise ConfigError(f"a report shows points of deployments: {run.title} {what}")


def _write(
    study: str, uri: str, runs: "Sequence[PublishedRun]", folder: Path, file: Path
) -> list[dict[str, str]]:
    from er import table1
    from er.claims import sensitivity
    from er.claims.verdicts import decide
    from er.report import page

    about = [claim for claim in statements.every() if claim.study == study]
    known = folder / SENSITIVITY
    rows = [table1.cells(config) for config in table1.configured()]
    rows += other_rows(runs, [row[0] for row in rows], len(table1.HEADINGS))
    verdicts = decide(about, runs)
    report = page.Report(
        study,
        runs,
        verdicts,
        (table1.HEADINGS, rows),
        sensitivity.load(known) if known.exists() and about else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, page.render(report).encode())
    documents.log(verdicts, uri)
    return [
        {
            "figure": v.claim.figure,
            "id": v.claim.id,
            "says": f"{v.claim.says} {documents.LABELS[v.claim.label]}",
            "verdict": v.word,
            "why": v.explanation,
        }
        for v in verdicts
    ]


def other_rows(
    runs: "Sequence[PublishedRun]", known: Sequence[str], columns: int
) -> list[list[str]]:
    """Rows like those of Table I for the deployments of runs that are not `known` in it, with what
    their configurations say; the last columns, which Table I computes, are left open."""
    found: dict[str, list[str]] = {}
    for run in runs:
        of, name = run.config["deployment"], labels.deployment_name(run.deployment)
        if name in known:
            continue
        routed = of["experts"] > 1 or of.get("behind_gateway")
        facts = (of["model"]["name"], of["precision"], of["tp"], of["experts"], run.gpus)
        row = [name, "Expert Router" if routed else "baseline", *map(str, facts)]
        found.setdefault(name, [*row, *["-"] * (columns - len(row))])
    return list(found.values())


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
