"""The folder of a job that was handed to a cluster: what was asked for, and what came of it.

runs/<study>/jobs/<deployment>-<key>/001/      one submission; the next attempt is 002
  job.json        the job itself (er.compose.Job)
  script.sh       what was handed to sbatch
  intent.json     written before sbatch is called: the unique name by which Slurm knows it
  after.json      the submission that has to end well first
  receipt.json    written after: Slurm's job id
  held_back.json  there while it waits here, since Slurm takes no more jobs
  withdrawn       there when the answer was lost and Slurm does not know the job: it does nothing
  slurm.log       what it printed
  cancelled       there when er.cancel was called
  run_dir.txt     its run directory, once that is open
  command.json    the id of a later command that had the job too, and found it here
  points_before.json  the points that were there then, which it did not measure
  lost_nodes.json  the nodes of the job that answered no more when er failed
  exit_code       how it ended, by itself
  ended.json      how it ended, by Slurm, where that was seen
"""

import difflib
import hashlib
import json
import re
import shlex
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from er.cli import OUT_OF_TIME
from er.cluster import builds, queue
from er.cluster.base import PointId, id_of
from er.config import Config
from er.config.plain import plain
from er.errors import ConfigError, ErError
from er.results import sqlite_file
from er.results.files import write_whole
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.compose import Job

JOBS = "jobs"
BUILD = "build"
RUNS_DIR = "runs"  # of a command that is not told another
KEY_DIGITS = 12


@dataclass(frozen=True)
class Intent:
    """What is known of a submission before it is made."""

    name: str  # no other job has it: as a comment and as a name it finds a job whose id was lost
    deployment: str
    title: str
    ladder: list[int]
    study: str
    figures: list[str]
    publish: bool
    tracking_uri: str
    answer_timeout_s: float
    when: str
    searches: bool = False  # for concurrencies of its own, in place of the ladder
    user: str = ""  # who submitted it; empty in studies of earlier versions


@dataclass(frozen=True)
class Attempt:
    """One submission of a job."""

    path: Path

    @property
    def intent(self) -> Intent:
        """What was to be submitted."""
        return Intent(**self._read("intent.json"))

    @property
    def job_id(self) -> str:
        """Slurm's; empty where its answer was lost."""
        return str(self._read("receipt.json")["job_id"]) if self._has("receipt.json") else ""

    @property
    def noted(self) -> bool:
        """Whether it may be Slurm's: its intent is on disk."""
        return self._has("intent.json")

    @property
    def waits_here(self) -> bool:
        """Whether Slurm is not known to have it, so that another submission takes its place."""
        return not self.job_id and not self.log.exists()

    @property
    def withdrawn(self) -> bool:
        """Whether it was given up."""
        return self._has("withdrawn")

    @property
    def held_back(self) -> bool:
        """Whether Slurm took no more jobs."""
        return self._has("held_back.json")

    @property
    def cancelled(self) -> bool:
        """Whether er.cancel was called for it."""
        return self._has("cancelled")

    @property
    def exit_code(self) -> int | None:
        """The exit code that the job wrote; None while it runs, or when it could not write one."""
        text = self._text("exit_code")
        return int(text) if text.isdigit() else None

    @property
    def ended(self) -> dict[str, str]:
        """What Slurm said of its end; empty where that was not seen."""
        return dict(self._read("ended.json")) if self._has("ended.json") else {}

    @property
    def command(self) -> str:
        """The id of the last command that found the job here; empty where none did."""
        return str(self._read("command.json")["id"]) if self._has("command.json") else ""

    @property
    def points_before(self) -> frozenset[PointId]:
        """The points of its run that were there when it began."""
        found = self._read("points_before.json") if self._has("points_before.json") else []
        return frozenset((concurrency, duration_s) for concurrency, duration_s in found)

    @property
    def lost_nodes(self) -> list[str]:
        """Its nodes that answered no more when it failed, as itself or Slurm noted."""
        noted = self._read("lost_nodes.json") if self._has("lost_nodes.json") else []
        return noted or self.ended.get("lost_nodes", "").split()

    @property
    def at_rest(self) -> bool:
        """Whether its end is known on disk, so that Slurm need not be asked."""
        return self.held_back or bool(self.ended) or self.exit_code in (0, OUT_OF_TIME)

    @property
    def after(self) -> "Attempt | None":
        """The job that has to end well before it, such as the build of its engine."""
        return Attempt(Path(self._read("after.json"))) if self._has("after.json") else None

    @property
    def run(self) -> RunDir | None:
        """The run directory of the job; None until it is open."""
        name = self._text("run_dir.txt")
        return RunDir(Path(name)) if name else None

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.path / "slurm.log"

    def write(self, name: str, value: object) -> None:
        """Write a JSON file of it, whole or not at all."""
        write_whole(self.path / name, (json.dumps(value, indent=2) + "\n").encode())

    def note_receipt(self, job_id: str) -> None:
        """Slurm took it."""
        self.write("receipt.json", {"job_id": job_id, "when": now()})
        (self.path / "held_back.json").unlink(missing_ok=True)

    def hold_back(self, reason: str) -> None:
        """Slurm took it not yet."""
        self.write("held_back.json", {"reason": reason, "when": now()})

    def withdraw(self, reason: str) -> None:
        """Give it up; should Slurm run it after all, it does nothing."""
        self.write("withdrawn", {"reason": reason, "when": now()})

    def note_points_before(self, run: RunDir) -> None:
        """These points of its run were measured before it; a job that is begun anew measured its
        own."""
        if not self._has("points_before.json"):
            self.write("points_before.json", [id_of(point) for point in run.points()])

    def note_run(self, run: RunDir) -> None:
        """Its points are in this run."""
        write_whole(self.path / "run_dir.txt", str(run.path.absolute()).encode())

    def note_lost_nodes(self, names: list[str]) -> list[str]:
        """These nodes answered no more when it failed; the same names."""
        if names:
            self.write("lost_nodes.json", names)
        return names

    def note_command(self, command: str) -> None:
        """A later command has the job too."""
        with suppress(ErError):  # the folder may be another user's
            self.write("command.json", {"id": command})

    def note_cancelled(self) -> None:
        """It is about to be cancelled."""
        self.write("cancelled", {"when": now()})

    def _has(self, name: str) -> bool:
        return (self.path / name).exists()

    def _read(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    def _text(self, name: str) -> str:
        return (self.path / name).read_text().strip() if self._has(name) else ""


def key_of(config: Config) -> str:
    """What tells a job from others of its study: all that was asked for, but where it runs, and
    from which folder relative paths of runs, cache and store are seen."""
    values = {name: value for name, value in plain(config).items() if name != "cluster"}
    for name in ("runs_dir", "cache_dir"):
        values[name] = str(Path(values[name]).resolve())
    uri = sqlite_file.absolute(config.tracking.uri)
    values["tracking"] = {"enabled": config.tracking.enabled, "uri": uri}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def place_of(config: Config) -> Path:
    """The folder of all attempts at a job."""
    name = f"{config.deployment.id}-{key_of(config)[:KEY_DIGITS]}"
    return jobs_dir(config) / name


def place_of_command(config: Config, action: str) -> Path:
    """The folder of all attempts at building its engine, or at looking at a node for it."""
    return jobs_dir(config) / f"{action}-{builds.key_of(config)[:KEY_DIGITS]}"


def jobs_dir(config: Config) -> Path:
    """The folder of all jobs of a study."""
    return (Path(config.runs_dir) / config.study / JOBS).absolute()


def attempts(place: Path) -> list[Attempt]:
    """All submissions of a job, in order; one without an intent never came to be."""
    return [Attempt(path.parent) for path in sorted(place.glob("*/intent.json"))]


def newest(place: Path) -> Attempt | None:
    """The newest submission of a job that was not given up."""
    found = [attempt for attempt in attempts(place) if not attempt.withdrawn]
    return found[-1] if found else None


def newest_of_study(folder: Path) -> Iterator[Attempt]:
    """The newest submission of every job of a study, whose directory is `folder`."""
    for place in sorted((folder / JOBS).glob("*-*")):
        attempt = newest(place)
        if attempt:
            yield attempt


def prepare(job: "Job", place: Path, title: str) -> tuple[Attempt, Intent]:
    """Make the folder of a new submission at `place`, with the job as it is to be run there.

    Nothing on a node publishes: `er.collect` does, one writer for all.
    """
    config = job.config
    number = len(list(place.iterdir())) + 1 if place.exists() else 1
    path = place / f"{number:03d}"
    path.mkdir(parents=True)
    untracked = replace(config, tracking=replace(config.tracking, enabled=False))
    replace(job, config=untracked).write(path / "job.json")
    intent = Intent(
        name=unique_name(config),
        deployment=config.deployment.id,
        title=title,
        ladder=list(config.load.concurrency),
        searches=config.capacity is not None,
        study=config.study,
        figures=list(config.figures),
        publish=config.tracking.enabled,
        tracking_uri=sqlite_file.absolute(
            config.tracking.uri
        ),  # er.collect may be called elsewhere
        answer_timeout_s=getattr(config.cluster, "answer_timeout_s", 30.0),
        when=now(),
        user=queue.user(),
    )
    return Attempt(path), intent


def unique_name(config: Config) -> str:
    """What Slurm calls a job; a study's name may have characters that its options cannot."""
    parts = [
        re.sub(r"[^A-Za-z0-9_.-]+", "_", part) for part in (config.study, config.deployment.id)
    ]
    return "-".join(["er", *parts, uuid.uuid4().hex[:12]])


def note_intent(attempt: Attempt, intent: Intent) -> None:
    """From now on the job may be Slurm's."""
    attempt.write("intent.json", asdict(intent))


def note_taken(job: "Job", run: RunDir, place: Path) -> None:
    """In place of a job: all that it would have measured is in `run`, which took it from `place`.

    On disk it is a submission that has ended well, which Slurm was never asked for.
    """
    attempt, intent = prepare(job, place_of(job.config), job.config.title)
    attempt.note_run(run)
    attempt.note_points_before(run)
    attempt.log.write_text(f"no job was needed: all is taken from {place}\n")
    (attempt.path / "exit_code").write_text("0\n")
    note_intent(attempt, intent)


def users(study: Path) -> set[str]:
    """Who submitted jobs of a study."""
    return {attempt.intent.user for attempt in newest_of_study(study)}


def studies(runs_dir: Path) -> list[Path]:
    """The directories of studies that have jobs, the one submitted last first."""
    found = {path.parents[3] for path in runs_dir.glob(f"*/{JOBS}/*-*/*/intent.json")}
    return sorted(found, key=lambda path: (path / JOBS).stat().st_mtime, reverse=True)


def study_of(runs_dir: Path, name: str) -> Path:
    """The directory of a study with jobs; without a name, of the one submitted last.

    Raises ConfigError when there is none.
    """
    known = studies(runs_dir)
    if name:
        known = [path for path in known if path.name == name]
    if not known:
        which = f"study {name}" if name else "study"
        names = [path.name for path in studies(runs_dir)]
        closest = difflib.get_close_matches(name, names, n=1)
        raise ConfigError(
            f"no {which} in {runs_dir} was handed to a cluster: "
            + (
                f"did you mean {closest[0]}?"
                if closest
                else "python -m er.run ... cluster=slurm does, --runs-dir says where"
            )
        )
    return known[0]


def describe_next(config: Config, module: str) -> str:
    """The command line that looks at the jobs of a study, or ends it, as a shell takes it."""
    elsewhere = [] if config.runs_dir == RUNS_DIR else ["--runs-dir", config.runs_dir]
    return shlex.join(["python", "-m", module, config.study, *elsewhere])


def now() -> str:
    """The time, as it is written."""
    return datetime.now(UTC).isoformat(timespec="seconds")
