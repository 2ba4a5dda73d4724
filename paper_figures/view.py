"""A figure is a view of published runs: which are shown, and where the picture goes.

A module of this package with a function `figure(runs)`, the study `STUDY` that it shows by itself
and what it `NEEDS` of each run (needs.py) is a figure. With a function `summary(runs)` it also says
lines in a terminal. Nothing heavy is imported before one is drawn.
"""

import importlib
import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

FIGURES = Path(__file__).parent
DRAWN_WITH = ("matplotlib", "numpy", "pandas", "seaborn")


@dataclass(frozen=True)
class Picture:
    """A figure's files, whether they were there already, from the same runs, and what is said with
    it in a terminal."""

    files: list[Path]
    kept: bool
    summary: Sequence[str] = ()


def names() -> list[str]:
    """The figures that can be drawn of a study's runs, by the names of their modules."""
    texts = {path.stem: path.read_text() for path in sorted(FIGURES.glob("*.py"))}
    return [n for n, text in texts.items() if "\ndef figure(" in text and "\nSTUDY = " in text]


def study_of(name: str) -> str:
    """The study that a figure shows unless another is named."""
    text = (FIGURES / f"{name}.py").read_text()
    [study] = re.findall(r'^STUDY = "(.+)"$', text, re.MULTILINE)
    return str(study)


def draw(
    name: str,
    uri: str,
    study: str,
    folder: Path,
    runs: Sequence[str] | None = None,
    width: str = "page",
) -> Picture:
    """Draw a figure of a study's runs in the MLflow store at `uri` into `folder`, unless that very
    picture is there.

    `runs` are MLflow ids, or beginnings of them; without them `er.tracking.query.shown` chooses.
    `width` is that of a `page` or of one `column` of it. Raises ErError where no such run is there.
    """
    from er.tracking import query

    published = query.pinned(uri, runs) if runs else query.shown(uri, study)
    return draw_runs(name, published, folder, width)


def draw_runs(
    name: str, published: Sequence["PublishedRun"], folder: Path, width: str = "page"
) -> Picture:
    """Draw a figure of these runs into `folder`, unless that very picture is there."""
    from er.results import kept

    file = file_name(name, published) + ("" if width == "page" else f"-{width}")
    inputs = inputs_of(name, published, width)
    found = kept.find(folder, file, inputs)
    if found:
        files = [folder / known for known in found["files"]]
        return Picture(files, kept=True, summary=found["summary"])

    from paper_figures import needs, style  # seaborn takes a second

    module = importlib.import_module(f"{__package__}.{name}")
    needs.require(name, module.NEEDS, published)
    with style.applied(style.Width[width]):
        files = style.save(module.figure(published), folder, file)
    summary: list[str] = module.summary(published) if hasattr(module, "summary") else []
    kept.note(folder, file, inputs, files, runs=[run.id for run in published], summary=summary)
    return Picture(files, kept=False, summary=summary)


def newest(runs: Sequence["PublishedRun"]) -> "PublishedRun":
    """The run that began last."""
    return max(runs, key=lambda run: run.started)


def inputs_of(name: str, runs: Sequence["PublishedRun"], width: str) -> str:
    """Of all that a picture is made from: runs, code and libraries."""
    from er.results import kept

    digests = [run.digest for run in runs]
    return kept.inputs_of([name, width, digests, library_versions(), code_digest()])


@cache
def code_digest() -> str:
    """SHA-256, in hexadecimal digits, of the code that makes a picture of runs."""
    from er.results import code, kept

    places = (FIGURES, code.PACKAGE / "results")
    return kept.inputs_of("", sorted(path for place in places for path in place.glob("*.py")))


def inputs_of_picture(name: str, table: Path) -> str:
    """Of all that a picture of a table is made from: the table, code and libraries."""
    from er.results import kept

    return kept.inputs_of([name, library_versions()], [table, *sorted(FIGURES.glob("*.py"))])


@cache
def library_versions() -> dict[str, str]:
    """Of what draws a picture, by name: with others its bytes may differ."""
    return {package: importlib.metadata.version(package) for package in DRAWN_WITH}


def shows_one_run(name: str) -> bool:
    """Whether a figure is of one run: its file is then named after that run."""
    return "\nONE_RUN = True\n" in (FIGURES / f"{name}.py").read_text()


def file_name(name: str, runs: Sequence["PublishedRun"]) -> str:
    """The figure's name, and what keeps its file apart from others: a study that is not the
    figure's own, a prediction, and of a figure of one run the beginning of its id."""
    if shows_one_run(name):
        return f"{name}-{newest(runs).id[:8]}"
    studies = sorted({run.study for run in runs} - {study_of(name)})
    predicted = ["predicted"] if any(run.clock == "virtual" for run in runs) else []
    return "-".join([name, *studies, *predicted])
