"""Figure 1: the architecture of a study's deployments, drawn from their configurations.

`python -m paper_figures.fig1` draws it again from the runs that MLflow holds.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results import names
from er.tracking.query import PublishedRun
from paper_figures import boxes, command, style
from paper_figures.looks import MARKERS, name_of, routed

STUDY = "ladder"
NEEDS = ("deployment",)
BLUE, YELLOW, GREEN = "#e8f1f8", "#fdf1dc", "#eaf5ef"
COLUMNS = 4  # of experts
EXPERTS = (  # colours of none of the deployments
    "#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677", "#882255", "#999933", "#44aa99",
)  # fmt: skip
Points = tuple[tuple[float, float], tuple[float, float]]  # from and to


@dataclass(frozen=True)
class Layout:
    """Where the parts of a routed deployment are, in cm."""

    height: float
    users: boxes.Place
    gateway: boxes.Place
    classifier: boxes.Place
    triton: boxes.Place
    arrows: tuple[Points, ...]  # in order of their numbers


BESIDE = Layout(  # a page is wide
    height=7.2,
    users=(0.1, 2.3, 3.1, 2.6),
    gateway=(4.5, 0.2, 4.8, 6.8),
    classifier=(4.7, 0.4, 4.4, 4.5),
    triton=(10.8, 0.2, 6.9, 6.8),
    arrows=(
        ((3.2, 4.2), (4.5, 4.2)),
        ((6.2, 5.8), (6.2, 4.9)),
        ((7.6, 4.9), (7.6, 5.8)),
        ((9.3, 4.2), (10.8, 4.2)),
        ((10.8, 3.0), (9.3, 3.0)),
        ((4.5, 3.0), (3.2, 3.0)),
    ),
)
BELOW = Layout(  # a column is narrow
    height=14.2,
    users=(0.1, 12.7, 8.3, 1.4),
    gateway=(0.1, 6.1, 8.3, 5.7),
    classifier=(1.6, 6.3, 5.3, 4.1),
    triton=(0.1, 0.1, 8.3, 5.1),
    arrows=(
        ((2.6, 12.7), (2.6, 11.8)),
        ((1.9, 11.2), (1.9, 10.4)),
        ((6.6, 10.4), (6.6, 11.2)),
        ((2.6, 6.1), (2.6, 5.2)),
        ((5.9, 5.2), (5.9, 6.1)),
        ((5.9, 11.8), (5.9, 12.7)),
    ),
)
NOTE = (
    "The paper numbers the arrows: (1) a prompt, (2, 3) its class, (4) to the matching model, "
    "(5, 6) the answer back to the same user; that 5 ends in the gateway is [inferred], and so are "
    "k = 8 clusters and an expert for each GPU in its D and E."
)
MAP_NOTE = "{shown:,} of {samples:,} samples that the router was trained on, by {method}."


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """A panel for each layout with a gateway, below them the deployments without one."""
    parts = parts_of(runs)
    heights = list(map(height_of, parts))
    drawn, panels = plt.subplots(
        len(parts), 1, figsize=style.size(sum(heights)), height_ratios=heights,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, part, height in zip(panels.flat, parts, heights, strict=True):
        panel.set(xlim=(0, width_cm()), ylim=(0, height))
        panel.axis("off")
        (router_panel if routed(part[0]) else baseline_panel)(panel, part)
    note = " ".join([NOTE, *dots_of(parts)])
    return style.finish(drawn, "Figure 1: architecture", runs, note=note, own=STUDY)


def parts_of(runs: Sequence[PublishedRun]) -> list[list[PublishedRun]]:
    """The runs of each panel: those that pass one kind of gateway to as many experts on as many
    GPUs each; at last those without a gateway."""
    found: dict[tuple[Any, ...], list[PublishedRun]] = {}
    for run in sorted(runs, key=lambda run: not routed(run)):
        of = run.config["deployment"]
        kind = run.config["gateway"]["kind"], run.config["routing"]["policy"]
        key = (of["experts"], of["tp"], *kind) if routed(run) else ()
        found.setdefault(key, []).append(run)
    return list(found.values())


def dots_of(parts: Sequence[Sequence[PublishedRun]]) -> list[str]:
    """What the dots of each panel are, naming deployments where not all have as many."""
    of: dict[str, list[str]] = {}
    for part in parts:
        found = map_of(part) if routed(part[0]) else {}
        if found:
            text = MAP_NOTE.format(**found, shown=len(found["x"]))
            of.setdefault(text, []).extend(dict.fromkeys(map(name_of, part)))
    whose = [f" of {', '.join(names)}" if len(of) > 1 else "" for names in of.values()]
    return [f"Dots{names}: {text}" for names, text in zip(whose, of, strict=True)]


def width_cm() -> float:
    """Of the drawing."""
    width: float = (style.Width.column if style.narrow() else style.Width.page).value
    return width


def layout() -> Layout:
    """Of a routed deployment, as wide as the drawing."""
    return BELOW if style.narrow() else BESIDE


def height_of(runs: Sequence[PublishedRun]) -> float:
    """Of a panel, in cm."""
    if routed(runs[0]):
        return layout().height
    return (4.3 if style.narrow() else 1.8) + 0.65 * len(runs)


def router_panel(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    """Users, gateway with its classifier, Triton with the experts; arrows 1 to 6."""
    gateway, routing, at = runs[0].config["gateway"], runs[0].config["routing"], layout()
    users(axes, runs, at.users)
    title = f"Routing gateway ({gateway['kind']})"
    boxes.titled(axes, at.gateway, YELLOW, title, f"HTTP, {port_of(gateway['port'])}")
    classes = f"k = {routing['clusters']}" if routing["policy"] == "kmeans" else routing["policy"]
    boxes.titled(axes, at.classifier, "white", f"Classifier: {routing['policy']}, {classes}")
    scatter(axes, map_of(runs), at.classifier)
    triton(axes, runs, at.triton)
    for number, (start, end) in enumerate(at.arrows, 1):
        boxes.arrow(axes, start, end, str(number))


def baseline_panel(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    """Users, and Triton with one engine over several GPUs."""
    height = height_of(runs) - 0.2
    if style.narrow():
        users(axes, runs, (0.1, height - 1.3, 8.3, 1.4))
        triton(axes, runs, (0.1, 0.1, 8.3, height - 2.3))
        boxes.arrow(axes, (2.6, height - 1.3), (2.6, height - 2.2))
        boxes.arrow(axes, (5.9, height - 2.2), (5.9, height - 1.3))
        middle = width_cm() / 2, height - 1.75
    else:
        users(axes, runs, (0.1, 0.1, 3.1, height))
        triton(axes, runs, (10.8, 0.1, 6.9, height))
        boxes.arrow(axes, (3.2, height / 2 + 0.3), (10.8, height / 2 + 0.3))
        boxes.arrow(axes, (10.8, height / 2 - 0.3), (3.2, height / 2 - 0.3))
        middle = 7, height / 2 + 0.6
    axes.text(*middle, "no gateway", ha="center", va="center", fontsize=boxes.small())


def users(axes: Axes, runs: Sequence[PublishedRun], place: boxes.Place) -> None:
    """Who sends."""
    most = max(max(run.config["load"]["concurrency"]) for run in runs)
    arrivals = runs[0].config["load"]["arrivals"].replace("_", " ")
    between = ", " if style.narrow() else "\n"
    boxes.titled(axes, place, BLUE, "User simulator", f"1 to {most:,} users{between}{arrivals}")


def triton(axes: Axes, runs: Sequence[PublishedRun], place: boxes.Place) -> None:
    """What the deployments run, and a box for each expert, or for each deployment of one engine."""
    port = port_of(runs[0].config["server"]["http_port"])
    below = f"{runs[0].engine_kind} engines{', ' if style.narrow() else chr(10)}HTTP, {port}"
    boxes.titled(axes, place, GREEN, "Triton inference server", below)
    left, bottom, width, height = place
    if not routed(runs[0]):
        rows = [f"{name_of(run)}: {engine(run)} on {gpus_of(0, run)}" for run in runs]
        for row, text in enumerate(rows):
            at = (left + 0.15, bottom + 0.1 + 0.65 * (len(rows) - 1 - row), width - 0.3, 0.6)
            boxes.plain(axes, at, "white", text)
        return
    for row, run in enumerate(runs):
        experts = run.config["deployment"]["experts"]
        axes.text(left + width / 2, bottom + height - 1.7 - 0.42 * row,
                  f"{name_of(run)}: {experts} x {engine(run)}", ha="center", va="center",
                  fontsize=boxes.small())  # fmt: skip
    experts = max(run.config["deployment"]["experts"] for run in runs)
    rows_of = -(-experts // COLUMNS)
    cell = (width - 0.3) / COLUMNS, (height - 2 - 0.42 * len(runs)) / rows_of
    for expert in range(experts):
        at = (
            left + 0.2 + expert % COLUMNS * cell[0],
            bottom + 0.2 + (rows_of - 1 - expert // COLUMNS) * cell[1],
            cell[0] - 0.1,
            cell[1] - 0.1,
        )
        text = f"expert {expert}\n{gpus_of(expert, runs[0])}"
        colour, marker = sign_of(expert)
        boxes.plain(axes, at, "white", text, edgecolor=colour, linewidth=1.4)
        axes.plot(at[0] + 0.24, at[1] + at[3] - 0.24, marker, color=colour, markersize=2.8)


def engine(run: PublishedRun) -> str:
    """Model, precision and tensor parallelism of one engine."""
    deployment = run.config["deployment"]
    name = deployment["model"].get("title") or deployment["model"]["name"]
    return f"{name} {deployment['precision'].upper()}, TP={deployment['tp']}"


def gpus_of(expert: int, run: PublishedRun) -> str:
    """The GPUs of one expert."""
    tp = run.config["deployment"]["tp"]
    first = expert * tp
    if tp <= 2:
        return f"GPU {first}" if tp == 1 else f"GPUs {first}, {first + 1}"
    return f"GPUs {first} to {first + tp - 1}"


def port_of(number: int) -> str:
    """As configured: 0 stands for any."""
    return f"port {number}" if number else "any free port"


def map_of(runs: Sequence[PublishedRun]) -> dict[str, Any]:
    """What the router was trained on, in two dimensions; empty where no run has it."""
    for run in runs:
        path = run.files / names.ROUTER_MAP
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            return found
    return {}


def scatter(axes: Axes, found: dict[str, Any], place: boxes.Place) -> None:
    """A dot for each training sample, in its expert's colour, below the title of a box."""
    left, bottom, width, height = place
    room = (left + 0.2, bottom + 0.2, width - 0.4, height - 0.8)
    inset = axes.inset_axes(room, transform=axes.transData)
    inset.set(xticks=[], yticks=[])
    inset.grid(visible=False)
    for side in inset.spines.values():
        side.set_visible(False)
    if not found:
        inset.text(0.5, 0.5, "no map kept", ha="center", va="center", fontsize=boxes.small())
        return
    samples = list(zip(found["x"], found["y"], found["expert"], strict=True))
    for expert in sorted({*found["expert"]}):
        colour, marker = sign_of(expert)
        x, y = zip(*[(x, y) for x, y, its in samples if its == expert], strict=True)
        inset.scatter(x, y, s=5, c=colour, marker=marker, linewidths=0)


def sign_of(expert: int) -> tuple[str, str]:
    """An expert's colour and marker, which also tells it apart in grey."""
    return EXPERTS[expert % len(EXPERTS)], MARKERS[expert % len(MARKERS)]


if __name__ == "__main__":
    sys.exit(command.main("fig1"))
