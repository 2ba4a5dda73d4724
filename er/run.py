"""`python -m er.run +experiment=fig4`: the command line of the study.

Exit codes: those of er.cli.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from er import cli, compose
from er.compose import Job
from er.compose.launch import plugins_of
from er.config import Config
from er.config.runnable import require_runnable
from er.errors import ConfigError
from er.options import Arguments, Command, Word, parse_arguments
from er.report import views
from er.report.study import Study, finish
from er.results.files import write_whole

if TYPE_CHECKING:
    from er.study.job import Sweep

PLAIN_WIDTH = 100  # where there is no terminal to ask
COMMAND = Command(
    "er.run",
    "Measure or predict deployments, publish the runs and draw the figures of the study.",
    """
    python -m er.run +experiment=fig4                    the five deployments of Table I
    python -m er.run -m 'deployment=a,e' 'seed=0,1'      a run for each combination of the values
    python -m er.run +experiment=fig4 --cfg job          every key with its value; starts nothing
    python -m er.run +experiment=mine --config-dir DIR   your own: DIR/experiment/mine.yaml
    python -m er.run +experiment=fig4 cluster=slurm      submit a batch job for each deployment
    """,
    (
        Word("resume", "true", "take from disk the valid points that are there", ("true", "false")),
        Word("job", "", "run the one job of this file here, in place of overrides"),
        Word("dry", "false", "with cluster=slurm: only print the scripts", ("true", "false")),
        Word(
            "objective",
            "",
            "the figure that a sweeper such as hydra/sweeper=optuna searches the best of: one of "
            "capacity.json, or of the last valid point, such as ttft_s.p95 (where unsaid: "
            "concurrency, or tokens_per_s)",
        ),
    ),
)


def main() -> int:
    """Check every job, run them one after the other, show what came out."""
    kept = "everything started is stopped, what was measured is kept"
    return cli.run("er", lambda: answer(sys.argv[1:]), kept)


def answer(arguments: list[str]) -> int:
    """Do what the command line asks; the exit code."""
    parsed = parse_arguments(COMMAND, arguments)
    if parsed.for_hydra:
        compose.show(parsed)
        return 0
    with cli.loading():
        composed = jobs_of(parsed)
    jobs = [job.config for job in composed]
    require_words(parsed, jobs)
    require_figures(jobs)
    for config in jobs:
        require_runnable(config)
    out = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if parsed.words["job"]:
        return run_job(
            composed[0], Path(parsed.words["job"]), out, parsed.words["resume"] == "true"
        )
    if any(config.cluster.kind != "laptop" for config in jobs):
        return submit(composed, out, parsed.words)
    plugins = plugins_of(parsed)
    if plugins:
        return run_plugins(parsed, composed, plugins, out)
    with cli.loading():  # mlflow, numba and more: not before the request is checked
        from er.study.job import Sweep
        from er.study.progress import Progress
    return run_sweep(jobs, out, Sweep(Progress(jobs, out), parsed.words["resume"] == "true"))


def jobs_of(parsed: Arguments) -> list[Job]:
    """Every job, from a file or from overrides. Raises ConfigError when one cannot be run."""
    file = parsed.words["job"]
    if not file:
        return compose.jobs_for(parsed)
    if parsed.overrides:
        raise ConfigError(f"{parsed.overrides[0]} changes nothing: job={file} says all of it")
    return [compose.read_job(Path(file))]


def require_words(parsed: Arguments, jobs: list[Config]) -> None:
    """Raise ConfigError for a word that would have no effect."""
    if parsed.words["dry"] == "true" and not all(job.cluster.kind == "slurm" for job in jobs):
        raise ConfigError("dry=true prints batch scripts: add cluster=slurm, or leave it out")
    if parsed.words["objective"] and not plugins_of(parsed):
        raise ConfigError("objective is for a sweeper: add hydra/sweeper=optuna, or leave it out")


def require_figures(jobs: list[Config]) -> None:
    """Raise ConfigError unless the figure of every job can be drawn."""
    for figure in {figure for job in jobs for figure in job.figures}:
        if figure not in views.names():
            raise ConfigError(f"figures has {figure}: choose from {', '.join(views.names())}")


def run_plugins(parsed: Arguments, jobs: list[Job], plugins: list[str], out: Console) -> int:
    """Let a launcher or a sweeper of Hydra run the jobs; show what came out."""
    with cli.loading():
        from er.study import launched, summary

    configs = [job.config for job in jobs]
    folder = Path(configs[0].runs_dir) / "sweeps" / f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}"
    out.print(f"{' and '.join(plugins)} of Hydra: what they write is in {folder}", highlight=False)
    runs, failed = launched.run_by_hydra(parsed, jobs, plugins, folder)
    summary.show(runs, out)
    if runs:
        draw(configs, out)
    best = folder / "optimization_results.yaml"
    if best.exists():
        out.print(best.read_text().strip(), highlight=False, markup=False)
    return 1 if failed else 0


def submit(jobs: list[Job], out: Console, words: Mapping[str, str]) -> int:
    """Hand every job to Slurm, and return while they wait or run."""
    from er.cluster.submit import scripts
    from er.cluster.submit import submit as submit_to_slurm

    if words["dry"] == "true":
        print("\n".join(scripts(jobs)))
        return 0
    with cli.loading():
        from er.study.job import check_inputs

        check_inputs([job.config for job in jobs])
    submit_to_slurm(jobs, lambda line: print(line, flush=True), words["resume"] == "true")
    study = jobs[0].config.study
    out.print(f"look at them with  python -m er.status {study}", highlight=False)
    out.print(f"and at the end     python -m er.collect {study}", highlight=False)
    return 0


def run_job(job: Job, file: Path, out: Console, resume: bool) -> int:
    """Run the job of a file; beside the file, run_dir.txt says where its run directory is.

    It also fails when none of its points is valid.
    """
    with cli.loading():
        from er.cluster import allocation
        from er.cluster.folder import Attempt
        from er.process import stopping
        from er.study.job import Sweep
        from er.study.progress import Progress
        from er.study.time_left import TimeLeft

    progress = Progress([job.config], out, time_left=TimeLeft(allocation.until_s(job.config)))
    sweep = Sweep(progress, resume or allocation.restarted())
    sweep.id = job.sweep or sweep.id
    note = file.with_name("run_dir.txt")
    sweep.on_open = lambda run: write_whole(note, str(run.path.absolute()).encode())
    sweep.on_resume = Attempt(file.parent).note_points_before
    with stopping.graceful(allocation.finish_requests_s(job.config)):
        code = run_sweep([job.config], out, sweep)
    if code not in (0, cli.OUT_OF_TIME):
        for node in Attempt(file.parent).note_lost_nodes(allocation.lost_nodes(job.config)):
            cli.fail("er", f"{node} does not answer: what was measured until then is kept", code)
    valid = [point for run in sweep.runs for point in run.points() if not point.invalid]
    if not code and not job.config.capacity and not valid:
        return cli.fail("er", f"{job.config.title}: no point is valid", 1)
    return code


def run_sweep(jobs: list[Config], out: Console, sweep: "Sweep") -> int:
    """Run every job; a failed one does not stop the others."""
    out.print(f"checking {len(jobs)} deployment{'s' if len(jobs) > 1 else ''}", highlight=False)
    with cli.loading():
        from er.study import job, summary

        job.check(jobs)
    failed: dict[str, int] = {}
    done = []

    try:
        for config in jobs:
            try:
                sweep.run(config)
                done.append(config)
            except Exception as error:
                code = cli.fail(
                    "er", f"{config.title}: {cli.describe_error(error)}", cli.exit_code(error)
                )
                failed[config.title] = code if code == cli.OUT_OF_TIME else 1
    finally:
        sweep.progress.clear()
        summary.show(sweep.runs, out)
    draw(done, out)
    return max(failed.values(), default=0)


def draw(jobs: Sequence[Config], out: Console) -> None:
    """Make the figures and reports of every study from the published runs."""

    def say(line: str) -> None:
        out.print(line, highlight=False, markup=False, soft_wrap=True)

    wanted: dict[tuple[str, str, str], dict[str, None]] = {}
    for job in jobs:
        if job.tracking.enabled:
            place = job.study, job.tracking.uri, job.runs_dir
            wanted.setdefault(place, {}).update(dict.fromkeys(job.figures))
    for (study, uri, runs_dir), figures in wanted.items():
        if figures:
            finish(Study(study, uri, Path(runs_dir), list(figures)), say)
    for uri in dict.fromkeys(uri for _, uri, _ in wanted):
        with cli.loading():
            from er.tracking.experiment import describe_ui

        for line in describe_ui(uri, [study for study, its_uri, _ in wanted if its_uri == uri]):
            say(line)


if __name__ == "__main__":
    sys.exit(main())
