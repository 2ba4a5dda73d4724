"""How long the whole study takes on the virtual clock, and its sensitivity alone.

    python -m benchmarks.study

In an empty folder, on two cores: `er.run +experiment=all clock=virtual`, which makes every figure,
table, verdict, the sensitivity and the report; the same command again, which is to predict nothing;
and `er.claims.sensitivity` in a folder of its own. Corpus and routers are read from the checkout's
cache; without them they are made first, untimed. The last line is JSON.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CORES = 2
REACHES = {"all_s": 180.0, "again_s": 10.0, "again_predicted_points": 0.0, "sensitivity_s": 120.0}
POINT = ", predicted"  # how the line of a predicted point ends


@dataclass(frozen=True)
class Timed:
    """A command that has ended."""

    wall_s: float
    user_s: float
    output: str


def main() -> None:
    """Measure; a line for each figure, then all of them as JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with TemporaryDirectory() as folder:
        figures = judged(measure(Path(folder)))
    for name, found in figures.items():
        met = "met" if found["met"] else "NOT MET"
        cpu = f"user CPU {found['references'].get('user_cpu_s', 0):.1f} s"
        print(f"{name:24s}{found['value']:10.4g}  reach {found['reach']:g}: {met}  {cpu}")
    print(json.dumps({"benchmark": "study", "figures": figures}))


def measure(folder: Path) -> dict[str, Timed]:
    """The three commands, one after the other."""
    words = [f"runs_dir={folder / 'runs'}", f"tracking.uri=sqlite:///{folder / 'runs/mlflow.db'}"]
    study = ["er.run", "+experiment=all", "clock=virtual", *words]
    run("er.run", "deployment=d", "clock=virtual", "load.concurrency=[1]", "tracking.enabled=false",
        f"runs_dir={folder / 'first'}")  # fmt: skip
    return {
        "all": run(*study),
        "again": run(*study),
        "sensitivity": run("er.claims.sensitivity", f"out={folder / 'sensitivity'}"),
    }


def run(*command: str) -> Timed:
    """A command of er in a process of its own. Raises CalledProcessError when it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    wall_s = time.perf_counter() - start
    user_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return Timed(wall_s, user_s, done.stdout)


def judged(took: dict[str, Timed]) -> dict[str, Any]:
    """The figures against what is to be reached."""
    values = {f"{name}_s": timed.wall_s for name, timed in took.items()}
    predicted = [line for line in took["again"].output.splitlines() if line.endswith(POINT)]
    values["again_predicted_points"] = float(len(predicted))
    return {
        name: {
            "value": values[name],
            "reach": reach,
            "met": values[name] <= reach,
            "references": {"user_cpu_s": took[name.partition("_")[0]].user_s},
        }
        for name, reach in REACHES.items()
    }


if __name__ == "__main__":
    main()
