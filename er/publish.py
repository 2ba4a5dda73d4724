"""`python -m er.publish DIR...`: publish runs and routers that did not reach MLflow."""

import sys
from pathlib import Path

from er import cli
from er.errors import ConfigError
from er.results import consistency, names, terminal
from er.results.run_dir import RunDir, id_of
from er.tracking.experiment import describe_ui
from er.tracking.publish import publish, store_of
from er.tracking.router import RECORD, STUDY, publish_router


def main() -> int:
    """Publish the directories of runs (runs/STUDY/RUN) or of trained routers (runs/routers/ROUTER)
    to the store that each names. One that is there already is brought up to date."""
    parser = cli.parser("er.publish", main.__doc__)
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR", help="made by a run")
    parser.add_argument("--uri", default="", help="another MLflow store than the one it names")
    options = parser.parse_args()
    for path in options.dirs:
        if not any((path / name).exists() for name in (names.CONFIG, RECORD)):
            raise ConfigError(
                f"{path} is no directory of a run or a router (no config.json, no {RECORD})"
            )
    pages: dict[tuple[str, str], None] = {}
    for path in options.dirs:
        if (path / RECORD).exists():
            uri, run_id = publish_router(path, options.uri)
            study, own = STUDY, ""
        else:
            run = RunDir(path)
            named = store_of(run)
            uri, study = options.uri or named, run.read(names.CONFIG)["study"]
            consistency.require_consistent(run)
            run_id = publish(run, uri)
            own = f", id {id_of(run.read(names.RECORD))} in figures, er.claims and er.report"
        terminal.say(f"{path}: MLflow run {run_id}{own}")
        pages[uri, study] = None
    for uri, study in pages:
        print("\n".join(describe_ui(uri, [study])))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("er.publish", main, "what was published is in MLflow, the rest is not"))
