"""`python -m er.run +experiment=fig4`: run the deployments of a study, publish them, draw figures.

`answer` composes and checks every job, then hands them to the place where they run: this process
(`run_sweep`), Slurm (`submit`) or a launcher of Hydra (`run_plugins`). A batch job of Slurm calls
this command again, with `job=FILE` (`run_job`). `er.study.job.Sweep` runs a job; `draw` comes last.

Exit codes: those of er.cli.
"""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from er import cli, compose
from er.claims import statements
from er.compose import Job
from er.compose.launch import plugins_of
from er.config import Config
from er.config.runnable import require_runnable
from er.errors import ConfigError, ErError
from er.options import Arguments, Command, Word, parse_arguments
from er.report import views
from er.report.study import Study, finish_all
from er.results import command_id, names, terminal
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.study.job import Sweep

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
            "the number that a sweeper such as hydra/sweeper=optuna optimises: one of "
            "capacity.json, or of the last valid point, such as ttft_s.p95 (by default "
            "concurrency, or tokens_per_s)",
        ),
    ),
)


def main() -> int:
    """Check every job, run them one after the other, show what came out."""
    kept = "everything started is stopped, what was measured is kept"
    return cli.run("er", lambda: answer(sys.argv[1:]), kept)


def answer(arguments: list[str]) -> int:
    """Run a command line; return the exit code. Raises ConfigError when a job cannot be run."""
    parsed = parse_arguments(COMMAND, arguments)
    if parsed.for_hydra:
        compose.show(parsed)
        return 0
    with cli.loading():
        jobs = read_jobs(parsed)
    configs = [job.config for job in jobs]
    require_effect(parsed, configs)
    require_figures(configs)
    for config in configs:
        require_runnable(config)
    out = terminal.console()
    resume = parsed.words["resume"] == "true"
    if parsed.words["job"]:
        return run_job(jobs[0], Path(parsed.words["job"]), out, resume)
    if any(config.cluster.kind != "laptop" for config in configs):
        return submit(jobs, dry=parsed.words["dry"] == "true", resume=resume)
    plugins = plugins_of(parsed)
    if plugins:
        return run_plugins(parsed, jobs, plugins, out)
    with cli.loading():  # mlflow, numba and more: only once the request has been checked
        from er.study.job import Sweep
        from er.study.progress import Progress
    return run_sweep(configs, out, Sweep(Progress(configs, out), resume))


def read_jobs(parsed: Arguments) -> list[Job]:
    """Every job, from overrides or from a file. Raises ConfigError when one cannot be composed."""
    file = parsed.words["job"]
    if not file:
        return compose.jobs_for(parsed)
    if parsed.overrides:
        raise ConfigError(f"{parsed.overrides[0]} changes nothing: job={file} says all of it")
    return [compose.read_job(Path(file))]


def require_effect(parsed: Arguments, jobs: list[Config]) -> None:
    """Raise ConfigError for an argument of the command that would have no effect."""
    if parsed.words["dry"] == "true" and not all(job.cluster.kind == "slurm" for job in jobs):
        raise ConfigError("dry=true prints batch scripts: add cluster=slurm, or leave it out")
    if parsed.words["objective"] and not plugins_of(parsed):
        raise ConfigError("objective is for a sweeper: add hydra/sweeper=optuna, or leave it out")


def require_figures(jobs: list[Config]) -> None:
    """Raise ConfigError unless all figures of every job can be drawn and its claims be read."""
    statements.every()
    known = views.names()
    for figure in {figure for job in jobs for figure in job.figures}:
        if figure not in known:
            raise ConfigError(f"figures has {figure}: choose from {', '.join(known)}")


def run_plugins(parsed: Arguments, jobs: list[Job], plugins: list[str], out: Console) -> int:
    """Let a launcher or a sweeper of Hydra run the jobs; show the results, return the exit code."""
    with cli.loading():
        from er.study import launched, summary

    configs = [job.config for job in jobs]
    folder = Path(configs[0].runs_dir) / "sweeps" / f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}"
    out.print(f"{' and '.join(plugins)} of Hydra: what they write is in {folder}", highlight=False)
    command = command_id.new_id()
    runs, failed = launched.run_by_hydra(parsed, jobs, plugins, folder, command)
    summary.show(runs, out)
    if runs:
        draw(configs, command, out)
    best = folder / "optimization_results.yaml"
    if best.exists():
        out.print(best.read_text().strip(), highlight=False, markup=False)
    return 1 if failed else 0


def submit(jobs: list[Job], *, dry: bool, resume: bool) -> int:
    """Submit every job to Slurm, and return while they wait or run; `dry` only prints scripts."""
    from er.cluster import dry as dry_run
    from er.cluster.folder import describe_next
    from er.cluster.submit import submit as submit_to_slurm

    if dry:
        dry_run.show(jobs, resume=resume)
        return 0
    with cli.loading():
        from er.study.job import check_inputs

        check_inputs([job.config for job in jobs])
    submit_to_slurm(jobs, terminal.say, resume)
    config = jobs[0].config
    print(f"look at them with  {describe_next(config, 'er.status')}")
    print(f"and at the end     {describe_next(config, 'er.collect')}")
    return 0


def run_job(job: Job, file: Path, out: Console, resume: bool) -> int:
    """Run the job of `file` inside its allocation; return the exit code.

    The path of the run directory is written to run_dir.txt beside the file. A job without a valid
    point fails.
    """
    with cli.loading():
        from er.cluster import allocation
        from er.cluster.folder import Attempt
        from er.process import stopping
        from er.study.job import Sweep
        from er.study.progress import Progress
        from er.study.time_left import TimeLeft

    progress = Progress([job.config], out, time_left=TimeLeft(allocation.until_s(job.config)))
    again = resume or allocation.restarted()
    sweep = Sweep(progress, again, job.sweep or command_id.new_id())
    attempt = Attempt(file.parent)
    sweep.on_open = attempt.note_run
    sweep.on_resume = attempt.note_points_before
    with stopping.graceful(allocation.finish_requests_s(job.config)):
        code = run_sweep([job.config], out, sweep)
    if code not in (0, cli.OUT_OF_TIME):
        for node in attempt.note_lost_nodes(allocation.lost_nodes(job.config)):
            cli.fail("er", f"{node} does not answer: what was measured until then is kept", code)
    valid = [point for run in sweep.runs for point in run.points() if not point.invalid]
    if not code and not job.config.capacity and not valid:
        return cli.fail("er", f"{job.config.title}: no point is valid", 1)
    return code


def run_sweep(jobs: list[Config], out: Console, sweep: "Sweep") -> int:
    """Run every job, also after one has failed; draw the figures, return the exit code."""
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
                    "er",
                    f"{sweep.progress.name}: {cli.describe_error(error)}",
                    cli.exit_code(error),
                )
                failed[sweep.progress.name] = code if code == cli.OUT_OF_TIME else 1
    finally:
        sweep.progress.clear()
        summary.show(list(filter(is_readable, sweep.runs)), out)
    draw(done, sweep.id, out)
    return max(failed.values(), default=0)


def is_readable(run: RunDir) -> bool:
    """Whether what the table shows of a run is there; what is not was named when its job failed."""
    try:
        run.read(names.CONFIG)
        run.read(names.RECORD)
        run.points()
    except ErError:
        return False
    return True


def draw(jobs: Sequence[Config], command: str, out: Console) -> None:
    """Make the figures and reports of every study from the published runs of the command."""
    finish_all(
        [
            Study(
                job.study, job.tracking.uri, Path(job.runs_dir), job.figures,
                job.load.concurrency, command,
            )
            for job in jobs
            if job.tracking.enabled
        ],
        out,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
