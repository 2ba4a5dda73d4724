"""Choose as many columns of a table as fit a terminal; digits are never cut."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

UNLIMITED_WIDTH = 10_000  # cells; wider than any table


def fitting(
    make: Callable[[Sequence[str]], Table],
    columns: Sequence[str],
    dispensable: Sequence[str],
    out: Console,
) -> Table:
    """The table that `make` makes of the most columns that fit the console `out`.

    Columns are left out in the order of `dispensable`; if nothing fits, all of these are left out.
    A column that may wrap counts with its least width, any other with its full width.
    """
    unlimited = out.options.update(width=UNLIMITED_WIDTH)
    for count in range(len(dispensable) + 1):
        result = make([name for name in columns if name not in dispensable[:count]])
        for column in result.columns:
            if column.no_wrap:
                column.min_width = widest_line(column)
        if out.measure(result, options=unlimited).minimum <= out.width:
            break
    return result


def widest_line(column: Column) -> int:
    """Width of a column, in cells of a terminal, when nothing in it is wrapped or cut."""
    texts = [Text.from_markup(str(text)).plain for text in (column.header, *column.cells)]
    widest = max(cell_len(line) for text in texts for line in text.split("\n"))
    return min(widest, column.max_width or widest)
