"""`python -m er.publish RUN_DIR...`: publish run directories that did not reach MLflow."""

import argparse
import sys
from pathlib import Path

from er.errors import ErError
from er.run_dir import RunDir
from er.tracking.mlflow_store import publish


def main() -> int:
    """Publish each directory to the store its configuration names."""
    parser = argparse.ArgumentParser(prog="python -m er.publish", description=main.__doc__)
    parser.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR")
    for path in parser.parse_args().run_dirs:
        run = RunDir(path)
        if not (path / "config.json").exists():
            print(f"er: {path} is not a run directory (it has no config.json)", file=sys.stderr)
            return 2
        try:
            print(f"{path}: MLflow run {publish(run, run.read('config.json')['tracking']['uri'])}")
        except ErError as error:
            print(f"er: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
