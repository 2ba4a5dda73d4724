"""A figure is a view of published runs: which are shown, and where the picture goes.

A module of this package with a function `figure(runs)` and the study `STUDY` that it shows by
itself is a figure. Nothing heavy is imported before one is drawn.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

FIGURES = Path(__file__).parent


def names() -> list[str]:
    """The figures that can be drawn, by the names of their modules."""
    modules = sorted(FIGURES.glob("*.py"))
    return [path.stem for path in modules if "\ndef figure(" in path.read_text()]


def study_of(name: str) -> str:
    """The study that a figure shows unless another is named."""
    return str(importlib.import_module(f"{__package__}.{name}").STUDY)


def draw(
    name: str,
    uri: str,
    study: str,
    folder: Path,
    runs: Sequence[str] | None = None,
    width: str = "page",
) -> list[Path]:
    """Draw a figure of a study's runs in the MLflow store at `uri` into `folder`; the files.

    `runs` are MLflow ids, or beginnings of them; without them `er.tracking.query.shown` chooses.
    `width` is that of a `page` or of one `column` of it. Raises ErError where no such run is there.
    """
    from er.tracking import query
    from paper_figures import style

    module = importlib.import_module(f"{__package__}.{name}")
    published = query.pinned(uri, runs) if runs else query.shown(uri, study)
    column = "" if width == "page" else f"-{width}"
    with style.applied(style.Width[width]):
        drawn = module.figure(published)
        return style.save(drawn, folder, file_name(name, published) + column)


def file_name(name: str, runs: Sequence["PublishedRun"]) -> str:
    """The figure's name, and what keeps its file apart from others: a study that is not the
    figure's own, and a prediction."""
    studies = sorted({run.study for run in runs} - {study_of(name)})
    predicted = ["predicted"] if any(run.clock == "virtual" for run in runs) else []
    return "-".join([name, *studies, *predicted])
