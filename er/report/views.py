"""What a study ends with, by name: a figure, Table I, or what the claims hang on."""

from collections.abc import Callable
from pathlib import Path

from paper_figures import view
from paper_figures.view import Picture


def names() -> list[str]:
    """What `figures` of a configuration may name."""
    return sorted([*view.names(), *TABLES])


def draw(name: str, uri: str, study: str, folder: Path) -> Picture:
    """Make it of a study's runs, in `folder`. Raises ErError where there are none."""
    return TABLES[name](folder) if name in TABLES else view.draw(name, uri, study, folder)


def table1(folder: Path) -> Picture:
    """Table I as Markdown."""
    from er import table1
    from er.results.files import write_whole

    rows = [table1.cells(config) for config in table1.configured()]
    file = folder / "table1.md"
    text = table1.markdown(rows).encode() + b"\n"
    kept = file.exists() and file.read_bytes() == text
    write_whole(file, text)
    return Picture([file], kept)


def sensitivity(folder: Path) -> Picture:
    """Every claim under every setting of what the paper does not say."""
    from er.claims import sensitivity

    return Picture(*sensitivity.make(folder))


TABLES: dict[str, Callable[[Path], Picture]] = {"table1": table1, "sensitivity": sensitivity}
