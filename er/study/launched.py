"""A study whose jobs a launcher or a sweeper of Hydra runs (docs/hydra.md)."""

import functools
from collections.abc import Sequence
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path

from er.compose import Job
from er.compose.launch import launch
from er.config import ClockKind
from er.errors import ConfigError, ErError
from er.options import Arguments
from er.results import names
from er.results.point import Point, Summary
from er.results.run_dir import RunDir
from er.study import job as study
from er.study.capacity import Carried

RUNS = "runs.txt"  # the run directories of a sweep, in the order in which they were done


def run_by_hydra(
    arguments: Arguments, jobs: Sequence[Job], plugins: Sequence[str], folder: Path, command: str
) -> tuple[list[RunDir], bool]:
    """Check the jobs that are known, then let Hydra run them; their runs, and whether all did.

    `folder` is for what the plugins write, `command` the id that all runs get. Raises ErError when
    the jobs cannot be run.
    """
    objective = arguments.words["objective"]
    for job in jobs:
        require_figure(objective, searched=bool(job.config.capacity))
        if "JoblibLauncher" in plugins and job.config.clock.kind is ClockKind.real:
            raise ConfigError(
                "hydra/launcher=joblib runs jobs side by side, which would disturb what they "
                "measure: use it with clock=virtual"
            )
    study.check([job.config for job in jobs])
    folder.mkdir(parents=True, exist_ok=True)
    done, failed = folder.absolute() / RUNS, False
    resume = arguments.words["resume"] == "true"
    work = functools.partial(run_one, done, objective, resume, command)
    try:
        launch(arguments, work, folder.absolute())
    except ErError:  # already printed; the other jobs ran
        failed = True
    paths = done.read_text().splitlines() if done.exists() else []
    return [RunDir(Path(path)) for path in dict.fromkeys(paths)], failed


def run_one(done: Path, objective: str, resume: bool, command: str, job: Job) -> float:
    """Run one job of a command, note where its run is, and give the figure that a sweeper
    optimises."""
    run = study.run(replace(job, sweep=command), resume)
    with done.open("a") as lines:
        lines.write(f"{run.path.absolute()}\n")
    return figure_of(run, objective)


def require_figure(name: str, *, searched: bool) -> None:
    """Raise ConfigError unless a search for capacity, or else a point, has such a figure."""
    known = figures_of(Carried if searched else Point)
    if name and name not in known:
        raise ConfigError(f"objective is {name}: choose from {', '.join(known)}")


def figures_of(kind: type[Carried] | type[Point] | type[Summary]) -> list[str]:
    """The numbers in one, by name; `ttft_s.p95` is one of a point."""
    found = []
    for field in fields(kind):
        if field.type in (int, float):
            found.append(field.name)
        elif field.type is Summary:
            found += [f"{field.name}.{part}" for part in figures_of(Summary)]
    return found


def figure_of(run: RunDir, name: str) -> float:
    """A named figure of a run: of its search for capacity, else of its last valid point.

    Without a name: the concurrency that is carried, or tokens per second.
    Raises ConfigError when the run has no such figure.
    """
    if run.has(names.CAPACITY):
        figures = run.read(names.CAPACITY)
        found = figures.get(name or "concurrency")
    else:
        valid = [point for point in run.points() if not point.invalid]
        if not valid:
            raise ErError(f"{run.path} has no valid point: nothing to optimise")
        try:
            found = attrgetter(name or "tokens_per_s")(valid[-1])
        except AttributeError:
            found = None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ConfigError(f"objective is {name}: {run.path} has no such figure")
    return float(found)
