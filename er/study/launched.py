"""A study whose jobs a launcher or a sweeper of Hydra runs (docs/hydra.md)."""

import functools
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from er.compose import Job
from er.compose.launch import launch
from er.config import ClockKind
from er.errors import ConfigError, ErError
from er.options import Arguments
from er.results import names
from er.results.run_dir import RunDir
from er.study import job as study

RUNS = "runs.txt"  # the run directories of a sweep, in the order in which they were done


def run_by_hydra(
    arguments: Arguments, jobs: Sequence[Job], plugins: Sequence[str], folder: Path
) -> tuple[list[RunDir], bool]:
    """Check the jobs that are known, then let Hydra run them; their runs, and whether all did.

    `folder` is for what the plugins write. Raises ErError when the jobs cannot be run.
    """
    for job in jobs:
        if "JoblibLauncher" in plugins and job.config.clock.kind is ClockKind.real:
            raise ConfigError(
                "hydra/launcher=joblib runs jobs side by side, which would disturb what they "
                "measure: use it with clock=virtual"
            )
    study.check([job.config for job in jobs])
    folder.mkdir(parents=True, exist_ok=True)
    done, failed = folder.absolute() / RUNS, False
    work = functools.partial(
        run_one, done, arguments.words["objective"], arguments.words["resume"] == "true"
    )
    try:
        launch(arguments, work, folder.absolute())
    except ErError:  # already printed; the other jobs ran
        failed = True
    paths = done.read_text().splitlines() if done.exists() else []
    return [RunDir(Path(path)) for path in dict.fromkeys(paths)], failed


def run_one(done: Path, objective: str, resume: bool, job: Job) -> float:
    """Run one job, note where its run is, and give the figure that a sweeper optimises."""
    run = study.run(job, resume)
    with done.open("a") as lines:
        lines.write(f"{run.path.absolute()}\n")
    return figure_of(run, objective)


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
