"""The page, from a study's runs and verdicts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from er.claims import documents
from er.claims.sensitivity import Sensitivity
from er.claims.verdicts import Verdict
from er.report.charts import charts
from er.results import labels
from er.tracking.note import command_line
from er.tracking.query import PublishedRun
from paper_figures import style


@dataclass(frozen=True)
class Report:
    """What a report shows."""

    study: str
    runs: Sequence[PublishedRun]
    verdicts: Sequence[Verdict]
    table1: tuple[Sequence[str], Sequence[Sequence[str]]]  # headings, rows
    sensitivity: Sensitivity | None


def render(report: Report) -> str:
    """The HTML file, whole."""
    environment = Environment(
        loader=PackageLoader("er.report", "data"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = charts(report.runs)
    return environment.get_template("report.html").render(
        report=report,
        origin=style.origin(report.runs),
        footer=style.footer(report.runs),
        intervals=documents.INTERVALS,
        labels=documents.LABELS,
        decided_by=documents.origin(report.verdicts) if report.verdicts else "",
        charts=drawn,
        predicted=any(run.step_times for run in report.runs),
        engines=labels.engines,
        provenance=_provenances(report.runs),
        store="".join(f" uri={uri}" for uri in _stores(report.runs)),
        commands=list(dict.fromkeys(map(_command, report.runs))),
        specs=_script_of({chart.id: chart.spec for chart in drawn}),
        vega=_scripts(),
    )


DEFAULT_STORE = "sqlite:///runs/mlflow.db"
EMBED = """
const specs = JSON.parse(document.getElementById("specs").textContent);
const drawn = Object.entries(specs).map(([id, spec]) =>
  vegaEmbed("#" + id, spec, {actions: false, renderer: "svg", tooltip: {theme: "custom"}}));
Promise.all(drawn).then(() => { document.body.dataset.drawn = drawn.length; });
"""


def _provenances(runs: Sequence[PublishedRun]) -> list[tuple[str, dict[str, Any]]]:
    """Where runs come from, with their names; those of the same machine and code together."""
    found: dict[str, list[PublishedRun]] = {}
    for run in runs:
        found.setdefault(json.dumps(_provenance(run)), []).append(run)
    parts = []
    for facts, several in found.items():
        names = ", ".join(dict.fromkeys(run.deployment.upper() for run in several))
        parts.append((f"{names}, started {style.started(several)}", json.loads(facts)))
    return parts


def _provenance(run: PublishedRun) -> dict[str, Any]:
    path: Path = run.files / "provenance.json"
    values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {
        name: str(value) for name, value in values.items() if not isinstance(value, dict | list)
    }


def _stores(runs: Sequence[PublishedRun]) -> list[str]:
    """Where the commands look for the runs, unless it is where they look by themselves."""
    found = dict.fromkeys(run.config.get("tracking", {}).get("uri", "") for run in runs)
    return [uri for uri in found if uri and uri != DEFAULT_STORE][:1]


def _command(run: PublishedRun) -> str:
    """The command line that measured a run, as a person types it in a shell."""
    path = run.files / "provenance.json"
    words = json.loads(path.read_text()).get("command", []) if path.exists() else []
    return command_line(words) if words else "python -m er.run"


def _script_of(value: object) -> str:
    """JSON that ends no script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


@cache
def _scripts() -> str:
    """Vega-Lite and what draws the charts with it; no text in it ends the script element."""
    script: str = vl_convert.javascript_bundle(EMBED)
    return script.replace("</script", "<\\/script")
