"""`python -m er.publish RUN_DIR...`: publish run directories that did not reach MLflow."""

import sys
from pathlib import Path

from er import cli
from er.errors import ConfigError
from er.results.run_dir import RunDir
from er.tracking.mlflow_store import publish


def main() -> int:
    """Publish each directory to the store its configuration names."""
    parser = cli.parser("er.publish", main.__doc__)
    parser.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR", help="made by a run")
    for path in parser.parse_args().run_dirs:
        if not (path / "config.json").exists():
            raise ConfigError(f"{path} is not a run directory (it has no config.json)")
        run = RunDir(path)
        uri = run.read("config.json")["tracking"]["uri"]
        print(f"{path}: MLflow run {publish(run, uri)}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("er.publish", main, "what was published is in MLflow, the rest is not"))
