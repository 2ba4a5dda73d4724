"""Which claims hold under which settings of what the paper does not say."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from paper_figures import style

OUTCOMES = ("fails", "open", "holds")
COLOURS = ("#d55e00", "0.85", "#a6d8f5")  # also of three greys
SIGNS = {"holds": "+", "fails": "\N{MINUS SIGN}", "open": "?"}  # for readers who see no colour
TITLE = "What hangs on what the paper does not say"
LEGEND = (
    "+ holds, \N{MINUS SIGN} does not, ? undecided; simulated engines, predicted on a virtual clock"
)


def heat_map(
    claims: Sequence[str],
    settings: Sequence[str],
    outcomes: Sequence[Sequence[str]],
    about: str = "",
) -> Figure:
    """A row for each claim and a column for each setting, in one column of a page the other way;
    `about` says what was predicted."""
    narrow = style.narrow()
    rows, columns = (settings, claims) if narrow else (claims, settings)
    cells = [list(row) for row in zip(*outcomes, strict=True)] if narrow else outcomes
    points = 5 if narrow else 5.5
    width = style.size(0)[0]
    lines = textwrap.wrap(about, int(width * 72 / points * style.LETTERS))
    foot = points * style.LINE * (len(lines) + 1)
    height = (5 + (0.42 if narrow else 0.55) * len(rows)) * style.CM + foot
    figure, axes = subplots(figsize=(width, height), layout="constrained")
    figure.set_layout_engine("constrained", rect=(0, foot / height, 1, 1 - foot / height))
    grid(axes, rows, columns, cells)
    legend = "\n".join(textwrap.wrap(LEGEND, style.TITLE_LETTERS if narrow else 200))
    figure.suptitle(f"{TITLE}\n{legend}", fontweight="bold")
    figure.text(
        0.5, points / 2 * style.LINE / height, "\n".join(lines), ha="center", va="bottom",
        fontsize=points, color="0.3", in_layout=False,
    )  # fmt: skip
    return figure


def grid(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> None:
    """A field for each row and column, coloured and signed by what came out."""
    values = [[OUTCOMES.index(outcome) for outcome in row] for row in cells]
    norm = BoundaryNorm((-0.5, 0.5, 1.5, 2.5), 3)
    axes.pcolormesh(values, cmap=ListedColormap(COLOURS), norm=norm, edgecolors="white", lw=1)
    for y, row in enumerate(cells):
        for x, outcome in enumerate(row):
            axes.text(x + 0.5, y + 0.5, SIGNS[outcome], ha="center", va="center", weight="bold")
    axes.set_xticks(
        [x + 0.5 for x in range(len(columns))],
        columns,
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_yticks([y + 0.5 for y in range(len(rows))], rows)
    axes.invert_yaxis()
    axes.grid(visible=False)
