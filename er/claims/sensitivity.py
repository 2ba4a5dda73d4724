"""Which verdicts hang on what the paper does not say, on the virtual clock.

`python -m er.claims.sensitivity` predicts the ladder under every setting of
experiments/unknowns.yaml, each point with its interval: between what it may lie. There is no spread
over requests.
"""

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from er import cli
from er.claims import statements, unknowns
from er.claims.thresholds import Threshold, thresholds
from er.claims.under import DEPLOYMENTS, Predictions, configured, outcomes, runs_under
from er.claims.unknowns import Setting
from er.config import Config, require, require_folder
from er.errors import ErError
from er.options import CONF
from er.results import code, kept, step_times, terminal
from er.results.files import write_whole
from er.results.json_file import text_of
from er.results.marked import around, replace_between
from er.simulation.cost import origin_of
from er.simulation.spec import spec_of
from paper_figures import view

NAME = "sensitivity"
FILE = f"{NAME}.json"
PICTURE = f"{NAME}-picture"
PAPER = statements.EXPERIMENTS.parent / "docs" / "paper.md"
WORDS = {"write": "false", "width": "page", "out": "runs/figures"}
CHOICES = {"write": ("true", "false"), "width": ("page", "column")}
BEGIN = "<!-- sensitivity: written by python -m er.claims.sensitivity write=true -->"
END = "<!-- end of sensitivity -->"
HELP = """usage: python -m er.claims.sensitivity [write=true] [width=column] [out=FOLDER]

Predict every claim's verdict under each setting of experiments/unknowns.yaml: what the paper does
not say. Nothing is started.

  write=true    write the table into docs/paper.md
  width=column  draw the picture 8.5 cm wide too, for one column of a page
  out=FOLDER    for the table as JSON and the picture (default: runs/figures)"""


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes, by claim and setting, and from where claims turn."""

    claims: list[str]
    settings: list[str]
    outcomes: list[list[str]]  # holds, fails or open: a row for each claim
    thresholds: list[Threshold]
    about: str = ""  # what was predicted, and when
    step_times: str = ""  # how much of them was measured

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
    found = thresholds(configs, partial(predictions.points, intervals=False), ladder)
    named = [setting.name.rstrip(": ") for setting in settings]
    measured = step_times.describe_origins(
        (name.upper(), origin_of(spec_of(config))["about"]) for name, config in configs.items()
    )
    said = f"{about(configs['a'], ladder)} {measured}."
    return Sensitivity(names, named, rows, found, said, measured)


def about(config: Config, ladder: Sequence[int]) -> str:
    """What was predicted, for a footer."""
    steps = ", ".join(f"{concurrency:,}" for concurrency in ladder)
    return (
        "With what predictions may be off by (er.claims adds the spread over requests); thresholds "
        "by best estimates. Each setting of experiments/unknowns.yaml changes one thing. "
        f"Ladder: {steps} users. Node type: {config.hardware.name}. "
        f"Workload as configured: {config.workload.description}. "
        f"Predicted {datetime.now(UTC):%Y-%m-%d} UTC."
    )


def markdown(found: Sensitivity) -> str:
    """The table for a document, and the thresholds."""
    lines = ["| claim | predicted | otherwise with |", "|---|---|---|"]
    for place, claim in enumerate(found.claims):
        turned = ", ".join(found.against(place)) or "none of them"
        lines.append(f"| {claim} | {found.share(place)} | {turned} |")
    lines += ["", *[f"- {threshold.described}" for threshold in found.thresholds]]
    lines += ["", f"{found.step_times}."] if found.step_times else []
    return "\n".join(lines)


def show(found: Sensitivity, out: Console) -> None:
    """The table and the thresholds in a terminal."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading, ratio in (("claim", 3), ("predicted", 3), ("otherwise with", 4)):
        table.add_column(heading, overflow="fold", ratio=ratio)
    for place, claim in enumerate(found.claims):
        turned = "\n".join(found.against(place)) or "none of them"
        table.add_row(claim, found.share(place), turned)
    out.print(table)
    for threshold in found.thresholds:
        terminal.show(out, threshold.described)
    if found.step_times:
        terminal.show(out, f"{found.step_times}.")


def main() -> int:
    """Examine and print; the exit code."""
    return cli.run("er.claims.sensitivity", lambda: answer(sys.argv[1:]), "nothing is written")


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ConfigError when it cannot be done."""
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP, cli.EXIT_CODES)
        return 0
    others, words = cli.read_words(arguments, WORDS)
    require(not others, f"{' '.join(others)}: it examines every claim: leave names out")
    for word, choices in CHOICES.items():
        require(
            words[word] in choices, f"{word} is {words[word]}: choose from {', '.join(choices)}"
        )
    require_folder(words["out"], "out")
    if words["write"] == "true":
        around(PAPER, BEGIN, END, add=True)
    folder = Path(words["out"])
    files, _ = make(folder)
    found = load(folder / FILE)
    if words["width"] == "column":
        files = [*files, *draw(found, folder, words["width"])]
    show(found, terminal.console(120))
    for path in files:
        terminal.say(f"figure: {path}")
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
    table = folder / FILE
    there = bool(kept.find(folder, NAME, inputs))
    if not there:
        save(examine(), folder)
        kept.note(folder, NAME, inputs, [table])
    of_picture = view.inputs_of_picture(NAME, table)
    known = kept.find(folder, PICTURE, of_picture)
    if known:
        return [table, *[folder / name for name in known["files"]]], there
    files = draw(load(table), folder)
    kept.note(folder, PICTURE, of_picture, files)
    return [table, *files], False


def save(found: Sensitivity, folder: Path) -> None:
    """The table as JSON."""
    write_whole(folder / FILE, text_of(asdict(found)).encode())


def draw(found: Sensitivity, folder: Path, width: str = "page") -> list[Path]:
    """The picture, as wide as a page or as one column of it."""
    from paper_figures import sensitivity, style

    name = NAME if width == "page" else f"{NAME}-{width}"
    with style.applied(style.Width[width]):
        drawn = sensitivity.heat_map(found.claims, found.settings, found.outcomes, found.about)
        return style.save(drawn, folder, name)


def load(file: Path) -> Sensitivity:
    """What `save` wrote. Raises ErError for anything else."""
    try:
        values = json.loads(file.read_text())
        for entry in values["thresholds"]:
            entry["ranges"] = [tuple(ends) for ends in entry["ranges"]]
        values["thresholds"] = [Threshold(**entry) for entry in values["thresholds"]]
        return Sensitivity(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise ErError(
            f"{file} is of another version, or damaged: make it again with "
            "python -m er.claims.sensitivity"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
