"""What a study ends with, by name: a figure, Table I, or what the claims hang on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from er.options import CONF
from paper_figures import view
from paper_figures.view import Picture

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun


TABLE1 = ("config", "simulation")  # rooms that its cells are computed in


def names() -> list[str]:
    """What `figures` of a configuration may name."""
    return sorted([*view.names(), *TABLES])


def draw(name: str, uri: str, study: str, folder: Path) -> Picture:
    """Make it of a study's runs, in `folder`. Raises ErError where there are none."""
    from er.tracking import query

    return draw_runs(name, lambda: query.shown(uri, study), folder)


def draw_runs(name: str, runs: Callable[[], Sequence["PublishedRun"]], folder: Path) -> Picture:
    """The same of runs that are read only where it shows any."""
    return TABLES[name](folder) if name in TABLES else view.draw_runs(name, runs(), folder)


def table1(folder: Path) -> Picture:
    """Table I as Markdown."""
    from er import table1
    from er.results import code, kept
    from er.results.files import write_whole

    file = folder / "table1.md"
    rooms = [path for room in TABLE1 for path in (code.PACKAGE / room).glob("*.py")]
    inputs = kept.inputs_of(
        [], [code.PACKAGE / "table1.py", *sorted(rooms), *sorted(CONF.rglob("*.yaml"))]
    )
    if kept.find(folder, file.stem, inputs):
        return Picture([file], kept=True)
    rows = [table1.cells(config) for config in table1.configured()]
    write_whole(file, table1.markdown(rows).encode() + b"\n")
    kept.note(folder, file.stem, inputs, [file])
    return Picture([file], kept=False)


def sensitivity(folder: Path) -> Picture:
    """Every claim under every setting of what the paper does not say."""
    from er.claims import sensitivity

    return Picture(*sensitivity.make(folder))


TABLES: dict[str, Callable[[Path], Picture]] = {"table1": table1, "sensitivity": sensitivity}
