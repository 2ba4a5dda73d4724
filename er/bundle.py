"""`python -m er.bundle export STUDY FILE` and `import FILE`: a study that travels."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from er import cli
from er.config.checks import require_folder, require_store
from er.errors import ConfigError
from er.report.study import ID_DIGITS
from er.results import archive, names, sqlite_file, terminal
from er.results.run_dir import RunDir, id_of

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

REQUESTS_AT_MOST = 5_000_000  # bytes that are taken along unasked
WORDS = {
    "uri": "sqlite:///runs/mlflow.db",
    "runs": "",
    "runs_dir": "runs",
    "requests": "auto",
    "hosts": "named",
}
CHOICES = {"requests": ("true", "false", "auto"), "hosts": ("named", "numbered")}
HELP = """usage: python -m er.bundle export STUDY FILE.zip [KEY=VALUE ...]
       python -m er.bundle import FILE.zip [KEY=VALUE ...]
       python -m er.bundle pin STUDY experiments/NAME/runs.lock.yaml [KEY=VALUE ...]

Carry the runs of a study to another machine: configurations, points, requests, provenance, figures
and verdicts. There the figures are drawn and the verdicts decided again; what differs is told.
`pin` writes down which runs a study shows and what is in them: with runs=FILE.yaml a figure,
er.claims and er.report use exactly these.

  runs=ID,...     export or pin exactly these runs, or those that a file pins (default: those that a
                  figure of STUDY shows)
  requests=WHAT   true, false, or auto: unless they exceed 5 MB (default: auto); without them no
                  interval can be computed, so claims are not decidable
  hosts=numbered  export with host-1, host-2... in place of the names of machines, in provenance,
                  addresses and logs; settings stay as they are (default: named)
  runs_dir=DIR    where an import puts the runs (default: runs)
  uri=URI         the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main() -> int:
    """Export or import; the exit code."""
    return cli.run("er.bundle", lambda: answer(sys.argv[1:]), "nothing is half written")


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ErError for what cannot be read."""
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP, cli.EXIT_CODES)
        return 0
    others, words = cli.read_words(arguments, WORDS)
    for word, choices in CHOICES.items():
        if words[word] not in choices:
            raise ConfigError(f"{word} is {words[word]}: choose from {', '.join(choices)}")
    require_folder(words["runs_dir"], "runs_dir")
    require_store(words["uri"], "uri")
    match others:
        case ["export" | "pin", _, file] if not _can_be_file(Path(file)):
            raise ConfigError(f"{file} cannot be written: give a file, which may be new")
        case ["export", study, file]:
            export_study(study, Path(file), words)
        case ["pin", study, file]:
            pin_study(study, Path(file), words)
        case ["import", file]:
            import_file(Path(file), words)
        case _:
            raise ConfigError(
                "give export STUDY FILE.zip, import FILE.zip, or pin STUDY FILE.yaml; see --help"
            )
    return 0


def _can_be_file(path: Path) -> bool:
    """Whether it is a file or can become one: a device, such as /dev/null, must not be replaced."""
    return not path.parent.is_file() and (path.is_file() or not path.exists())


def export_study(study: str, file: Path, words: dict[str, str]) -> None:
    """Write the runs that a figure of the study shows."""
    from er.report import carried
    from er.tracking import query

    runs = runs_of(study, words)
    others = [run for run in runs if run.study != study]
    if others:
        raise ConfigError(f"run {others[0].id} is of study {others[0].study}, not of {study}")
    folders = {}
    for run in runs:
        RunDir(run.files).check()
        key = RunDir(run.files).read("run.json")["key"]
        folders[f"{run.deployment}-{key[:12]}"] = run.files
    size = sum(p.stat().st_size for run in runs for p in (run.files / "requests").glob("*"))
    wanted = words["requests"]
    requests = wanted == "true" or (wanted == "auto" and size <= REQUESTS_AT_MOST)
    with tempfile.TemporaryDirectory() as folder:
        views = carried.make(study, words["uri"], runs, Path(folder))
        total = archive.write(
            file, study, folders, views, requests=requests,
            number_hosts=words["hosts"] == "numbered",
        )  # fmt: skip
    terminal.say(f"bundle: {file} ({total / 1e6:.1f} MB, {len(runs)} runs)")
    for run in runs:
        terminal.say(f"  {run.deployment}: {_kind(run.clock, run.engine_kind)}, run {run.id}")
    if not requests:
        terminal.say(
            f"without the requests, {size / 1e6:.1f} MB: an import can check neither points nor "
            "verdicts; requests=true takes them along"
        )
    if not words["runs"]:
        for kind, ids in query.of_other_kinds(words["uri"], study, runs).items():
            terminal.say(
                f"not in it: {len(ids)} runs {_kind(*kind)}: export them with "
                f"runs={','.join(one[:ID_DIGITS] for one in ids)}"
            )


def _kind(clock: str, engine_kind: str) -> str:
    """How a run's points came about."""
    return f"{'predicted' if clock == 'virtual' else 'measured'}, {engine_kind} engines"


def pin_study(study: str, file: Path, words: dict[str, str]) -> None:
    """Pin the runs that a figure of the study shows."""
    from er.tracking import pins

    runs = runs_of(study, words)
    pins.write(file, study, runs)
    terminal.say(f"pinned: {len(runs)} runs in {file}")


def runs_of(study: str, words: dict[str, str]) -> "list[PublishedRun]":
    """The runs that the command line names, or those that a figure of the study shows."""
    from er.tracking import pins, query

    ids = pins.chosen(words["uri"], words["runs"])
    return query.pinned(words["uri"], ids) if ids else query.shown(words["uri"], study)


def import_file(file: Path, words: dict[str, str]) -> None:
    """Put the runs of a bundle on disk and into MLflow; draw and decide again what it carries."""
    from er.report import carried
    from er.tracking import query
    from er.tracking.publish import publish

    runs_dir, uri = Path(words["runs_dir"]), words["uri"]
    sqlite_file.check(uri)
    bundle = archive.read(file, runs_dir)
    published = [publish(RunDir(folder), uri) for folder in bundle.runs]
    for folder, run_id in zip(bundle.runs, published, strict=True):
        own = id_of(RunDir(folder).read(names.RECORD))
        terminal.say(
            f"run directory: {folder}, MLflow run {run_id}, id {own} in figures and verdicts"
        )
    runs = query.pinned(uri, published)
    folder = runs_dir / "figures" / file.stem  # apart from the figures of the newest runs
    for line in carried.compare(bundle.views, bundle.study, runs, folder):
        terminal.say(line)
    terminal.say(f"look at it with {_report_of(bundle.study, uri, runs)}")


def _report_of(study: str, uri: str, runs: "list[PublishedRun]") -> str:
    """The command that shows these runs, also where the store has newer ones of the study."""
    from er.tracking import query

    newest = {run.run_id for run in query.shown(uri, study)}
    ids = ",".join(run.id[:ID_DIGITS] for run in runs)
    which = [] if newest == {run.run_id for run in runs} else [f"runs={ids}"]
    return " ".join(["python -m er.report", study, *which, f"uri={uri}"])


if __name__ == "__main__":
    sys.exit(main())
