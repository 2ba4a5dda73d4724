"""What tells the runs of a figure apart: name, colour, marker and dashes, from what they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from er.results import labels
from er.tracking.query import PublishedRun

TABLE_1 = "abcde"  # these keep one colour, marker and dash each in every figure
# Of seaborn's colour-blind palette, and darker ones: the first five belong to Table I.
COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc")
# Of all others: deployments, batch limits, node types.
OTHERS = ("#56b4e9", "#8c564b", "#332288", "#949494", "#b8860b", "#882255")
# How far a second run of a deployment is towards black, a third towards white, and so on.
SHADES = ((0.0, 0.0), (0.0, 0.45), (1.0, 0.45), (0.0, 0.65), (1.0, 0.7))
MARKERS = "osD^vPX<>ph"
DASHES = ((5, 2), (1.5, 1.5), (7, 1.5, 1.5, 1.5), (3, 1))
PLACES = ("runs_dir", "cache_dir", "tracking.", "server.", "gateway.port", "study", "figures")
FOLLOWING = (
    "routing.clusters",
    "engine.checkpoint",
    "deployment.behind_gateway",
)  # set from the deployment
OF_GATEWAY = ("gateway.", "routing.", "clock.gateway_s")  # which a run without one does not have
IN_ENGINES = ("deployment.", "routing.policy", "routing.shares")  # labels.engines shows them


@dataclass(frozen=True)
class Look:
    """How one run is drawn."""

    name: str  # short, for an axis: "B", or "B\ntp=8" beside another B
    label: str  # for a legend
    colour: str
    marker: str
    dashes: tuple[float, ...]  # empty: a solid line; dashed exactly if the deployment is routed

    @property
    def line(self) -> dict[str, Any]:
        """Line properties for matplotlib."""
        return {"color": self.colour, "linestyle": (0, self.dashes) if self.dashes else "-"}


def looks_of(runs: Sequence[PublishedRun]) -> list[Look]:
    """A look for each run, in their order; no two are alike."""
    apart = settings_apart(runs)
    alone = Counter(run.deployment for run in runs)
    return [
        Look(
            name="\n".join(
                filter(None, [name_of(run), short(settings) if alone[run.deployment] > 1 else ""])
            ),
            label=label_of(run, settings),
            colour=colour,
            marker=MARKERS[place % len(MARKERS)],
            dashes=DASHES[(place - TABLE_1.index("d")) % len(DASHES)] if routed(run) else (),
        )
        for run, place, colour, settings in zip(
            runs, places(runs), colours(runs), apart, strict=True
        )
    ]


def places(runs: Sequence[PublishedRun]) -> list[int]:
    """The place of each run among markers and dashes: a row of Table I has its own, every other
    run, and a second run of the same row, the next free one."""
    found: list[int] = []
    free = len(TABLE_1)
    for run in runs:
        own = TABLE_1.index(run.deployment) if is_row(run.deployment) else -1
        if own < 0 or own in found:
            own, free = free, free + 1
        found.append(own)
    return found


def colours(runs: Sequence[PublishedRun]) -> list[str]:
    """A deployment has one colour; its further runs have shades of it."""
    names = [run.deployment for run in runs]
    others = [name for name in dict.fromkeys(names) if not is_row(name)]
    found = []
    for place, name in enumerate(names):
        own = (
            COLOURS[TABLE_1.index(name)]
            if is_row(name)
            else OTHERS[others.index(name) % len(OTHERS)]
        )
        towards, share = SHADES[names[:place].count(name) % len(SHADES)]
        red, green, blue = ((1 - share) * part + share * towards for part in to_rgb(own))
        found.append(to_hex((red, green, blue)))
    return found


def is_row(deployment: str) -> bool:
    """Whether it is a row of Table I."""
    return len(deployment) == 1 and deployment in TABLE_1


def settings_apart(runs: Sequence[PublishedRun]) -> list[dict[str, str]]:
    """For each run the settings in which it differs from others: of its deployment, from those of
    the same name; otherwise from any."""
    flat = [dict(labels.flatten(run.config)) for run in runs]
    found = []
    for run, mine in zip(runs, flat, strict=True):
        same = [
            theirs
            for other, theirs in zip(runs, flat, strict=True)
            if other.deployment == run.deployment
        ]
        differing = {
            name: str(value)
            for name, value in mine.items()
            if not name.startswith((*PLACES, *FOLLOWING))
            and (routed(run) or not name.startswith(OF_GATEWAY))
            and any(
                name in other and other[name] != value
                for other in (same if name.startswith("deployment.") else flat)
            )
        }
        if "gateway.kind" in differing:  # from which its service time follows
            differing.pop("clock.gateway_s", None)
            differing.pop("gateway.service_s", None)
        differing = without_parts(differing)
        twins = sum(settings == mine for settings in same)
        found.append(differing | ({"run": run.id[:8]} if twins > 1 else {}))
    return found


def without_parts(settings: dict[str, str]) -> dict[str, str]:
    """Of a group that has another name, such as hardware.name, the name alone; no descriptions."""
    named = tuple(name.removesuffix("name") for name in settings if name.endswith(".name"))
    return {
        name: value
        for name, value in settings.items()
        if name.endswith(".name")
        or not (name.endswith(".description") or (named and name.startswith(named)))
    }


def short(settings: dict[str, str]) -> str:
    """Settings for an axis: the last part of each key, and the value alone where it is a name."""
    values = [(name.rpartition(".")[2], value) for name, value in settings.items()]
    return "\n".join(value if key in ("name", "run") else f"{key}={value}" for key, value in values)


def label_of(run: PublishedRun, settings: dict[str, str]) -> str:
    """A run in a legend: its deployment as it is set, and what else tells it apart."""
    what = labels.engines(run.config) if "deployment" in run.config else run.title
    routing = ["kmeans"] if settings.get("routing.policy") == "kmeans" else []  # else it is named
    others = [
        f"{k if k.endswith(('.name', '.kind')) else k.rpartition('.')[2]}={v}"
        for k, v in settings.items()
        if not k.startswith(IN_ENGINES)
    ]
    return ", ".join([f"{name_of(run)}: {what}", *routing, *others])


def name_of(run: PublishedRun) -> str:
    """A deployment's name: a row of Table I, or a variant of one, by its letter."""
    return labels.deployment_name(run.deployment)


def routed(run: PublishedRun) -> bool:
    """Whether prompts pass through the gateway."""
    deployment = run.config.get("deployment", {})
    return bool(deployment.get("experts", 1) > 1 or deployment.get("behind_gateway"))
