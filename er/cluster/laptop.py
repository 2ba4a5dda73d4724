"""Jobs on this machine run in the terminal that asked for them; here is how they stand."""

from pathlib import Path

from er.cluster.base import State, Status
from er.results import names
from er.results.run_dir import RunDir

STATES = {
    "running": State.running,
    "finished": State.finished,
    "failed": State.failed,
    "interrupted": State.stopped,
}


def status(study: Path) -> list[Status]:
    """How the runs of a study stand that no batch system knows."""
    found = [RunDir(path.parent) for path in sorted(study.glob(f"*/{names.CONFIG}"))]
    return [status_of(run) for run in found if run.has(names.RECORD)]


def status_of(run: RunDir) -> Status:
    """How a run stands, by its own record."""
    config, tags = run.read(names.CONFIG), run.read(names.RECORD).get("tags", {})
    return Status(
        deployment=tags.get("er.deployment", run.path.name),
        title=tags.get("er.title", run.path.name),
        ladder=tuple(config["load"]["concurrency"]),
        state=STATES.get(run.status(), State.lost),
        run=run,
    )
