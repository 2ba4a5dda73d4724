"""Which claims hold under which settings of what the paper does not say."""

from collections.abc import Sequence

from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from paper_figures import style

OUTCOMES = ("fails", "open", "holds")
COLOURS = ("#d55e00", "0.85", "#56b4e9")
SIGNS = {"holds": "+", "fails": "-", "open": "?"}  # for readers who see no colour


def heat_map(
    claims: Sequence[str], settings: Sequence[str], outcomes: Sequence[Sequence[str]]
) -> Figure:
    """A row for each claim, a column for each setting; signs say it without colour."""
    height_cm = 5 + 0.55 * len(claims)
    figure, axes = subplots(figsize=style.size(height_cm), layout="constrained")
    values = [[OUTCOMES.index(outcome) for outcome in row] for row in outcomes]
    norm = BoundaryNorm((-0.5, 0.5, 1.5, 2.5), 3)
    axes.pcolormesh(values, cmap=ListedColormap(COLOURS), norm=norm, edgecolors="white", lw=1)
    for y, row in enumerate(outcomes):
        for x, outcome in enumerate(row):
            axes.text(x + 0.5, y + 0.5, SIGNS[outcome], ha="center", va="center")
    axes.set_xticks(
        [x + 0.5 for x in range(len(settings))],
        settings,
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_yticks([y + 0.5 for y in range(len(claims))], claims)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_title(
        "Claims under what the paper does not say: + holds, - does not, ? undecided\n"
        "simulated engines, predicted on a virtual clock",
        fontweight="bold",
    )
    return figure
