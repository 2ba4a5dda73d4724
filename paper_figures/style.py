"""How every figure looks, and the edge that writes one into files."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from er.config.title import STOPS_AT_EOS, stops_at_eos
from er.results import step_times
from er.tracking.query import PublishedRun
from paper_figures.looks import name_of
from paper_figures.repeats import groups_of

CM = 1 / 2.54  # inches
DPI = 220
LINE = 1.45 / 72  # inches of a line of text for each point of its size
TICK, LABELS = 0.6, 1.2  # cm: the least distance of ticks, and what a panel's labels take
TITLE_LETTERS = 48  # of a title as wide as a column
LEGEND_LETTERS = 105  # of two columns of a legend
COLUMN_LETTERS = 66  # of a legend as wide as a column
ALIKE = 1 + 1e-6  # the highest over the lowest value of an axis that shows one value
LETTERS = 1.6  # in a line as wide as its height: digits are the widest
# A 95% interval, in every figure: a pale band, and a bar at each mark.
INTERVAL: dict[str, Any] = {"alpha": 0.1, "linewidth": 0, "zorder": 1}
INTERVAL_BAR: dict[str, Any] = {"alpha": 0.45, "linewidth": 2.6, "zorder": 1.6}
# An upright line, from the lowest to the highest that a prediction may be, in every figure.
RANGE: dict[str, Any] = {"linewidth": 0.7, "zorder": 2.5}
MARK: dict[str, Any] = {"markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.25}
# A 95th percentile beside the median: the same colour, faint, with small open marks.
TAIL: dict[str, Any] = {
    "linewidth": 0.7, "alpha": 0.6, "zorder": 2.2,
    "markersize": 2.4, "markerfacecolor": "none", "markeredgewidth": 0.6,
}  # fmt: skip
WHISKER: dict[str, Any] = {"linewidth": 0.8}  # between repeats
NO_DATE: dict[str, dict[str, None]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


class Width(Enum):
    """How wide a figure is printed, in cm: a page's two columns, or one of them."""

    page = 17.8
    column = 8.5


@contextmanager
def applied(width: Width = Width.page) -> Iterator[None]:
    """Draw in this style, without a screen; afterwards the figures made in it are closed."""
    mpl.use("Agg")
    with mpl.rc_context():
        sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
        inches = width.value * CM
        points = 8 if width is Width.page else 6.5
        mpl.rcParams.update(
            {
                "font.size": points,
                "axes.titlesize": points,
                "axes.labelsize": points,
                "xtick.labelsize": points - 0.5,
                "ytick.labelsize": points - 0.5,
                "legend.fontsize": points - 0.5,
                "legend.title_fontsize": points - 0.5,
                "figure.titlesize": points + 1,
                "axes.linewidth": 0.6,
                "grid.linewidth": 0.5,
                "grid.color": "0.88",
                "lines.linewidth": 1.2,
                "lines.markersize": 4,
                "hatch.linewidth": 0.35,
                "boxplot.boxprops.linewidth": 0.7,
                "boxplot.whiskerprops.linewidth": 0.7,
                "boxplot.capprops.linewidth": 0.7,
                "boxplot.medianprops.linewidth": 1,
                "xtick.major.pad": 2,
                "ytick.major.pad": 2,
                "figure.figsize": (inches, inches * 0.45),
                "text.parse_math": False,  # names of studies are texts
                "svg.hashsalt": "er",  # ids in the file that are the same every time
            }
        )
        yield
        plt.close("all")


def narrow() -> bool:
    """Whether the figure is drawn for one column of a page."""
    return bool(mpl.rcParams["figure.figsize"][0] < Width.page.value * CM)


def size(height_cm: float) -> tuple[float, float]:
    """Width of this style and a height, in inches."""
    return mpl.rcParams["figure.figsize"][0], height_cm * CM


def panels(*ratios: float, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with panels of these relative widths, one below the other where it is narrow; four
    or more stand in rows of two or three."""
    count = len(ratios)
    columns = 1 if narrow() else count if count < 4 else 2 if count == 4 else 3
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=size(rows * (5 if narrow() else 7 if rows == 1 else 6)),
        width_ratios=ratios[:columns],
        sharey=sharey and not narrow(),
        squeeze=False,
        layout="constrained",
    )
    for free in axes.flat[count:]:
        free.remove()
    return figure, list(axes.flat[:count])


def over_concurrency(axes: Axes, ladder: Sequence[int]) -> None:
    """A horizontal axis of users in flight, with a tick at each point of a geometric ladder."""
    axes.set_xscale("log", base=2)
    place = axes.get_subplotspec()
    beside = place.get_gridspec().ncols if place else 1
    ticks = apart(ladder, TICK / (size(0)[0] / CM / beside - LABELS))
    axes.set_xticks(ticks, [f"{n / 1000:g}k" if n >= 1000 else str(n) for n in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Concurrency [users in flight]")


def apart(ladder: Sequence[int], least: float) -> list[int]:
    """The first and the last concurrency, and of the others those `least` of the axis apart."""
    ticks: list[int] = []
    for concurrency in reversed(ladder):
        if not ticks or math.log(ticks[0] / concurrency) > least * math.log(ladder[-1] / ladder[0]):
            ticks.insert(0, concurrency)
    return [ladder[0], *ticks[1:]] if len(ticks) > 1 else ticks


def log_values(axis: Axis) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 of each decade; at 1 of many, evenly in few."""
    axis.axes.set_yscale("log")
    low, high = axis.get_view_interval()
    if 0 < low < high < low * ALIKE:  # values that only rounding tells apart
        low, high = axis.axes.set_ylim(low / 1.1, high * 1.1)
    few = high / low < 1000
    if high / low < 5:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=20))
    axis.set_minor_locator(NullLocator() if few else LogLocator(subs=(2, 5), numticks=40))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def origin(runs: Sequence[PublishedRun]) -> str:
    """How the values of a figure came about; a simulation, and lengths not forced, are named."""
    kinds = sorted({run.engine_kind for run in runs})
    times = {"virtual": "predicted on a virtual clock", "real": "measured at the client"}
    clocks = sorted({times[run.clock] for run in runs})
    engines = " and ".join(f"{kind} engines" for kind in kinds)
    ends = sorted({STOPS_AT_EOS for run in runs if stops_at_eos(run.config)})
    return ", ".join([engines, " or ".join(clocks), *ends])


def footer(runs: Sequence[PublishedRun]) -> str:
    """Where the values can be looked up."""
    nodes = sorted({run.config["hardware"]["name"] for run in runs if "hardware" in run.config})
    ids = [
        " ".join([group.look.name.replace("\n", " "), *(run.id[:8] for run in group.runs)])
        for group in groups_of(runs)
    ]
    repeated = [group for group in groups_of(runs) if group.repeated]
    seeds = sorted({run.config["seed"] for group in repeated for run in group.runs})
    parts = [
        f"Study {', '.join(sorted({run.study for run in runs}))}: {origin(runs)}",
        *([f"Node type: {', '.join(nodes)}"] if nodes else []),
        f"Workload: {'; or '.join(sorted({run.workload for run in runs}))}",
        f"Started {started(runs)}",
        *([f"Repeats with seeds {', '.join(map(str, seeds))}"] if seeds else []),
        step_times.describe_origins(
            zip(engine_names(runs), (run.step_times for run in runs), strict=True)
        ),
        f"Runs: {', '.join(ids)}",
    ]
    return ". ".join(filter(None, parts)) + "."


def started(runs: Sequence[PublishedRun]) -> str:
    """When the first and the last of them were, such as "2026-11-26 14:11 to 14:12 UTC"."""
    first, *_, last = sorted(run.started[:16].replace("T", " ") for run in [*runs, runs[0]])
    same_day = last.removeprefix(f"{first[:10]} ")
    return f"{first}{f' to {same_day}' if last != first else ''} UTC"


def engine_names(runs: Sequence[PublishedRun]) -> list[str]:
    """The deployment of each run; with precision and TP where those of one name differ in them."""
    known = [(run.deployment, engine_of(run)) for run in runs]
    kinds = Counter(deployment for deployment, _ in set(known))
    return [
        f"{name_of(run)} {engine}" if kinds[deployment] > 1 else name_of(run)
        for run, (deployment, engine) in zip(runs, known, strict=True)
    ]


def engine_of(run: PublishedRun) -> str:
    """Such as "int8 TP=4"; empty of no deployment of er."""
    deployment = run.config.get("deployment", {})
    return f"{deployment['precision']} TP={deployment['tp']}" if deployment else ""


def finish(
    figure: Figure, title: str, runs: Sequence[PublishedRun], *, note: str = "", own: str = ""
) -> Figure:
    """Title above, one legend for all panels and the footer below; none of them covers a panel.

    The title names a study that is not the figure's `own`.

    The figure grows by what they need.
    """
    entries = wrapped(legend_of(figure.axes))
    columns = 1 if narrow() else columns_for(list(entries))
    rows = -(-sum(label.count("\n") + 1 for label in entries) // columns)
    points = 5 if narrow() else 5.5
    text = " ".join(filter(None, [footer(runs), note]))
    lines = textwrap.wrap(text, int(figure.get_figwidth() * 72 / points * LETTERS))
    below = points * LINE * (len(lines) + 0.5)
    beside = points_of(mpl.rcParams["legend.fontsize"]) * LINE * (rows + 0.5)
    title = title_of(title, runs, own)
    heading = textwrap.wrap(title, TITLE_LETTERS if narrow() else 2 * TITLE_LETTERS)
    head = points_of(mpl.rcParams["figure.titlesize"]) * LINE * (len(heading) + 1)
    height = figure.get_figheight() + head + beside + below
    figure.set_figheight(height)
    bottom = (below + beside) / height
    figure.set_layout_engine("constrained", rect=(0, bottom, 1, 1 - bottom))
    figure.suptitle("\n".join([*heading, origin(runs)]), fontweight="bold")
    if entries:
        legend = figure.legend(
            list(entries.values()),
            list(entries),
            loc="lower center",
            bbox_to_anchor=(0.5, below / height),
            borderaxespad=0,
            ncols=columns,
            frameon=False,
        )
        legend.set_in_layout(False)
    figure.text(
        0.5, points / 2 * LINE / height, "\n".join(lines), ha="center", va="bottom",
        fontsize=points, color="0.3", in_layout=False,
    )  # fmt: skip
    return figure


def title_of(title: str, runs: Sequence[PublishedRun], own: str) -> str:
    """Such as "Figure 4 of study replicas: time to first token"."""
    others = sorted({run.study for run in runs} - {own}) if own else []
    number, colon, what = title.partition(":")
    return f"{number} of study {', '.join(others)}{colon}{what}" if others else title


def wrapped(entries: Mapping[str, Artist]) -> dict[str, Artist]:
    """Entries of a legend, none wider than the figure."""
    most = COLUMN_LETTERS * (1 if narrow() else 2)
    return {textwrap.fill(label, most): handle for label, handle in entries.items()}


def columns_for(labels: Sequence[str]) -> int:
    """Two columns of a legend where both fit beside each other, else one."""
    half = -(-len(labels) // 2)
    widest = [max(map(len, column), default=0) for column in (labels[:half], labels[half:])]
    return 2 if sum(widest) <= LEGEND_LETTERS else 1


def points_of(size: float | str) -> float:
    """A size of text, perhaps in words, in points."""
    return float(FontProperties(size=size).get_size_in_points())


def legend_of(panels: Sequence[Axes]) -> dict[str, Artist]:
    """The entries of all panels that have no legend of their own, each once."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        if not axes.get_legend():
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                entries.setdefault(label, handle)
    return entries


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG, PDF and SVG, laid out once for all, and return their paths.

    The same figure makes the same bytes: no file has the time in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lay_out(figure)
    paths = [folder / f"{name}.{kind}" for kind in NO_DATE]
    for path in paths:
        figure.savefig(path, dpi=DPI, metadata=NO_DATE[path.suffix[1:]])
    return paths


def lay_out(figure: Figure) -> None:
    """Put every part where it goes, once for all files."""
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
