"""How every figure looks: one colour, marker and line style for each deployment."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from er.results.point import Point
from er.tracking.query import PublishedRun

COLOURS: dict[str, str] = dict(
    zip("abcde", sns.color_palette("colorblind", 5).as_hex(), strict=True)
)
MARKERS = dict(zip("abcde", "osD^v", strict=True))
ROUTED = "de"
DPI = 160
MARGIN = 0.1  # inches
NO_DATE: dict[str, dict[str, None]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this style, without a screen; afterwards the figures made in it are closed."""
    mpl.use("Agg")
    with mpl.rc_context():
        sns.set_theme(context="paper", style="whitegrid", font_scale=1.1)
        mpl.rcParams["svg.hashsalt"] = "er"  # ids in the file that are the same every time
        yield
        plt.close("all")


def colour(deployment: str) -> str:
    """A deployment's colour; grey for one that is not in Table I."""
    return COLOURS.get(deployment, "#666666")


def line(deployment: str) -> dict[str, object]:
    """Line properties of a deployment: routed ones are dashed."""
    return {
        "color": colour(deployment),
        "marker": MARKERS.get(deployment, "P"),
        "linestyle": "--" if deployment in ROUTED else "-",
    }


def plain_log_ticks(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 of each decade, written out."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def label(run: PublishedRun) -> str:
    """A deployment's name in a legend."""
    return f"{run.deployment.upper()}: {run.title}" if len(run.deployment) == 1 else run.title


def origin(runs: Sequence[PublishedRun]) -> str:
    """How the values of a figure came about; a simulation is always named."""
    kinds = sorted({run.engine_kind for run in runs})
    clocks = sorted({run.clock for run in runs})
    engines = " and ".join(f"{kind} engines" for kind in kinds)
    times = "predicted on a virtual clock" if clocks == ["virtual"] else "measured at the client"
    return f"{engines}, {times}"


def footnote(runs: Sequence[PublishedRun]) -> str:
    """Where the values can be looked up."""
    ids = ", ".join(f"{run.deployment.upper()} {run.run_id[:8]}" for run in runs)
    started = min(run.started for run in runs)[:16].replace("T", " ")
    return f"workload: {runs[0].workload}    started {started} UTC    MLflow runs: {ids}"


def predictions(axes: Axes, runs: Sequence[PublishedRun], value: Callable[[Point], float]) -> None:
    """Each run's predicted curve, thin behind its measured points."""
    for run in runs:
        axes.plot(
            [point.concurrency for point in run.predicted],
            [value(point) for point in run.predicted],
            color=colour(run.deployment),
            linewidth=4,
            alpha=0.25,
            zorder=1,
        )
    if any(run.predicted for run in runs):
        axes.plot([], [], color="0.5", linewidth=4, alpha=0.4, label="predicted, virtual clock")


def legend(figure: Figure, axes: Axes, footnote_text: str) -> None:
    """One legend under all panels, with the footnote above its entries."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        title=footnote_text,
        title_fontsize=7,
    )


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG, PDF and SVG, laid out once for all, and return their paths.

    The same figure makes the same bytes: no file has the time in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    everything = figure.get_tightbbox().padded(MARGIN)
    paths = [folder / f"{name}.{kind}" for kind in NO_DATE]
    for path in paths:
        metadata = NO_DATE[path.suffix[1:]]
        figure.savefig(path, dpi=DPI, bbox_inches=everything, metadata=metadata)
    return paths
