"""Tables in as many columns as a terminal takes: digits are never cut."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


def fitting(
    make: Callable[[Sequence[str]], Table],
    columns: Sequence[str],
    dispensable: Sequence[str],
    out: Console,
) -> Table:
    """What `make` makes of the first `columns` that fit, without those of `dispensable` that have
    to be left out, in their order; of the fewest where nothing fits.

    A column that may fold takes part with its least width, any other with all of it.
    """
    unlimited = out.options.update(width=10_000)
    for count in range(len(dispensable) + 1):
        result = make([name for name in columns if name not in dispensable[:count]])
        for column in result.columns:
            if column.no_wrap:
                column.min_width = widest_line(column)
        if out.measure(result, options=unlimited).minimum <= out.width:
            break
    return result


def widest_line(column: Column) -> int:
    """Cells of a terminal that a column takes when nothing in it is folded or cut."""
    texts = [Text.from_markup(str(text)).plain for text in (column.header, *column.cells)]
    widest = max(cell_len(line) for text in texts for line in text.split("\n"))
    return min(widest, column.max_width or widest)
