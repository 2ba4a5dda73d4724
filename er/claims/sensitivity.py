"""Which verdicts hang on what the paper does not say, on the virtual clock.

`python -m er.claims.sensitivity` predicts the ladder under every setting of
experiments/unknowns.yaml. A prediction has no spread: a ratio stands for itself.
"""

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from er import cli, compose
from er.claims import statements, unknowns
from er.claims.comparisons import compare
from er.claims.statements import Claim
from er.claims.thresholds import Threshold, thresholds
from er.claims.unknowns import Setting
from er.claims.verdicts import outcome_of
from er.config import Config, SimulatedEngine, require, require_folder
from er.config.plain import plain
from er.options import CONF
from er.results import code, kept
from er.results.json_file import text_of
from er.results.marked import around, replace_between
from er.results.point import Point
from er.tracking.query import PublishedRun

DEPLOYMENTS = "abcde"
NAME = "sensitivity"
FILE = f"{NAME}.json"
PAPER = statements.EXPERIMENTS.parent / "docs" / "paper.md"
SYMBOLS = {"holds": "yes", "fails": "no", "open": "?"}
BEGIN = "<!-- sensitivity: written by python -m er.claims.sensitivity write=true -->"
END = "<!-- end of sensitivity -->"
HELP = """usage: python -m er.claims.sensitivity [write=true] [out=FOLDER]

Predict every claim's verdict under each setting of experiments/unknowns.yaml: what the paper does
not say. Nothing is started.

  write=true    write the table into docs/paper.md
  out=FOLDER    for the table as JSON and the picture (default: runs/figures)"""


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes, by claim and setting, and from where claims turn."""

    claims: list[str]
    settings: list[str]
    outcomes: list[list[str]]  # holds, fails or open: a row for each claim
    thresholds: list[Threshold]

    def share(self, place: int) -> str:
        """In how many settings a claim holds."""
        row = self.outcomes[place]
        open_ = f" ({row.count('open')} undecided)" if "open" in row else ""
        return f"holds in {row.count('holds')} of {len(row)} settings{open_}"

    def against(self, place: int) -> list[str]:
        """The settings that turn the configured outcome."""
        row = self.outcomes[place]
        named = zip(self.settings[1:], row[1:], strict=True)
        return [setting for setting, outcome in named if outcome != row[0]]


class Predictions:
    """Points by configuration: what a setting does not change is predicted once."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, int], Point] = {}

    def points(self, config: Config, ladder: Sequence[int]) -> list[Point]:
        """The predicted points, in order. Raises ConfigError when the deployment does not fit."""
        from er.study import predicted

        key = repr(replace(config, load=replace(config.load, concurrency=[1])))
        missing = [concurrency for concurrency in ladder if (key, concurrency) not in self._points]
        for concurrency, point in zip(
            missing, predicted.points(config, missing, intervals=False), strict=True
        ):
            self._points[key, concurrency] = point
        return [self._points[key, concurrency] for concurrency in ladder]


def examine() -> Sensitivity:
    """Every claim under every setting. Raises ConfigError for a file it cannot read."""
    ladder, settings = unknowns.read()
    claims = [claim for claim in statements.every() if claim.study == "ladder"]
    predictions = Predictions()

    def under(setting: Setting) -> list[str]:
        return outcomes(claims, runs_under(setting, ladder, predictions))

    for setting in settings:
        for name in DEPLOYMENTS:
            configured(name, setting)  # Hydra composes in one thread only
    first, *others = settings
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the simulation runs beside Python
        columns = [under(first), *pool.map(under, others)]
    names = [f"{claim.figure} {claim.id}" for claim in claims]
    rows = [list(row) for row in zip(*columns, strict=True)]
    configs = {name: configured(name, unknowns.AS_CONFIGURED) for name in DEPLOYMENTS}
    found = thresholds(configs, predictions.points)
    return Sensitivity(names, [setting.name.rstrip(": ") for setting in settings], rows, found)


@cache
def configured(name: str, setting: Setting) -> Config:
    """A deployment of Table I under a setting."""
    if setting.of and name not in setting.of:
        return configured(name, unknowns.AS_CONFIGURED)
    [config] = compose.plan(["clock=virtual", f"deployment={name}", *setting.overrides])
    engine = config.engine
    assert isinstance(engine, SimulatedEngine)
    scales = {
        scale: getattr(engine.correction, scale) * setting.step_times
        for scale in ("memory_scale", "compute_scale", "communication_scale")
    }
    return replace(config, engine=replace(engine, correction=replace(engine.correction, **scales)))


def runs_under(
    setting: Setting, ladder: Sequence[int], predictions: Predictions
) -> dict[str, list[PublishedRun]]:
    """A predicted run of each deployment, as claims read them."""
    runs = {}
    for name in DEPLOYMENTS:
        config = configured(name, setting)
        points = predictions.points(config, ladder)
        runs[name] = [
            PublishedRun(
                f"{setting.name} {name}", "", name, "", "simulated", "virtual", "", "", points, [],
                plain(config), {}, Path(),
            )
        ]  # fmt: skip
    return runs


def outcomes(claims: Sequence[Claim], runs: dict[str, list[PublishedRun]]) -> list[str]:
    """Whether each claim holds, by the ratios alone."""
    return [outcome_of(*compare(claim, runs, None)).value for claim in claims]


def markdown(found: Sensitivity) -> str:
    """The table for a document, and the thresholds."""
    lines = ["| claim | predicted | otherwise with |", "|---|---|---|"]
    for place, claim in enumerate(found.claims):
        turned = ", ".join(found.against(place)) or "none of them"
        lines.append(f"| {claim} | {found.share(place)} | {turned} |")
    lines += ["", *[f"- {threshold.described}" for threshold in found.thresholds]]
    return "\n".join(lines)


def main() -> int:
    """Examine and print; the exit code."""
    return cli.run("er.claims.sensitivity", lambda: answer(sys.argv[1:]), "nothing is written")


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ConfigError when it cannot be done."""
    if {"-h", "--help"} & set(arguments):
        print(f"{HELP}\n\nExit codes: {cli.EXIT_CODES}")
        return 0
    others, words = cli.read_words(arguments, {"write": "false", "out": "runs/figures"})
    require(not others, f"{' '.join(others)}: it examines every claim: leave names out")
    require(
        words["write"] in ("true", "false"), f"write is {words['write']}: choose from true, false"
    )
    require_folder(words["out"], "out")
    if words["write"] == "true":
        around(PAPER, BEGIN, END, add=True)
    files, _ = make(Path(words["out"]))
    found = load(Path(words["out"]) / FILE)
    print(markdown(found))
    for path in files:
        print(f"figure: {path}")
    if words["write"] == "true":
        title = "## What hangs on what the paper does not say\n\n"
        replace_between(PAPER, BEGIN, END, title + markdown(found), add=True)
    return 0


def make(folder: Path) -> tuple[list[Path], bool]:
    """The table and the picture in a folder, and whether they were there already, from the same
    code, claims and options."""
    experiments = statements.EXPERIMENTS
    sources = [path for room in ("claims", "config") for path in (code.PACKAGE / room).glob("*.py")]
    options = [*CONF.rglob("*.yaml"), *experiments.glob("*/claims.yaml"), unknowns.FILE]
    inputs = kept.inputs_of(code.digest_of_simulating(), sorted([*sources, *options]))
    known = kept.find(folder, NAME, inputs)
    if known:
        return [folder / name for name in known["files"]], True
    files = [folder / FILE, *save(examine(), folder)]
    kept.note(folder, NAME, inputs, files)
    return files, False


def save(found: Sensitivity, folder: Path) -> list[Path]:
    """The table as JSON, and the picture."""
    from paper_figures import sensitivity, style

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text_of(asdict(found)))
    with style.applied():
        drawn = sensitivity.heat_map(found.claims, found.settings, found.outcomes)
        return style.save(drawn, folder, NAME)


def load(file: Path) -> Sensitivity:
    """What `save` wrote."""
    values = json.loads(file.read_text())
    values["thresholds"] = [Threshold(**entry) for entry in values["thresholds"]]
    return Sensitivity(**values)


if __name__ == "__main__":
    sys.exit(main())
