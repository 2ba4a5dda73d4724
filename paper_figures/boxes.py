"""Boxes and arrows of a drawing, in its own units."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from paper_figures import style

Place = tuple[float, float, float, float]  # left, bottom, width, height
MARGIN = 0.1


def titled(axes: Axes, place: Place, colour: str, title: str, below: str = "") -> None:
    """A box with a title at its top and smaller text below that."""
    left, bottom, width, height = place
    plain(axes, place, colour)
    middle, top = left + width / 2, bottom + height
    axes.text(middle, top - 0.3, title, ha="center", va="center", fontsize=small() * 1.15,
              fontweight="bold")  # fmt: skip
    axes.text(middle, top - 0.65, below, ha="center", va="top", fontsize=small())


def plain(axes: Axes, place: Place, colour: str, text: str = "", **edge: Any) -> None:
    """A box with text in its middle."""
    left, bottom, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (left + MARGIN, bottom + MARGIN),
            width - 2 * MARGIN,
            height - 2 * MARGIN,
            facecolor=colour,
            boxstyle=f"round,pad={MARGIN}",
            **{"edgecolor": "0.4", "linewidth": 0.7, **edge},
        )
    )
    middle = left + width / 2, bottom + height / 2
    axes.text(*middle, text, ha="center", va="center", fontsize=small())


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], number: str = ""
) -> None:
    """An arrow with a number on it."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=7, color="0.15", shrinkA=1, shrinkB=1
        )
    )
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "0.15"}
    if number:
        axes.text(*middle, number, ha="center", va="center", fontsize=small(), fontweight="bold",
                  bbox={**circle, "linewidth": 0.6})  # fmt: skip


def small() -> float:
    """Size of text inside boxes, in points."""
    return 5.5 if style.narrow() else 6.8
