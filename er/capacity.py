"""python -m er.capacity [overrides]: how many users each deployment carries, and GPUs for more.

    python -m er.capacity                                        all deployments, all node types
    python -m er.capacity deployment=e hardware=h200_sxm --ttft-p95-s 0.5 --users 10000000

Everything is predicted on a virtual clock, with the real router's choices over real prompts.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from er import predicted, sending
from er.config import Config
from er.errors import ConfigError, ErError
from er.simulation.capacity import Capacity, Promise, most_users
from er.sweep import plan

EVERYTHING = ("deployment=a,b,c,d,e", "hardware=h100_sxm,h200_sxm,a100_sxm")
POOL = ("clock=virtual", "load.concurrency=[1]", "load.requests_at_least=2000")
USERS = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True)
class Row:
    """One deployment on one node type."""

    deployment: str
    description: str
    hardware: str
    gpus: int
    capacity: Capacity
    refusal: str  # why it cannot run; empty when it can

    def cells(self, users: Sequence[int]) -> list[str]:
        """The row as text."""
        head = [f"{self.deployment.upper()}: {self.description}", self.hardware, str(self.gpus)]
        point = self.capacity.point
        if point is None:
            why = "does not fit" if self.refusal else "breaks the promise with one user"
            return [*head, why, *["-"] * (4 + len(users))]
        needed = [self.capacity.gpus_for(number, self.gpus) for number in users]
        return [
            *head,
            f"{self.capacity.users:,}",
            f"{self.capacity.users / self.gpus:,.1f}",
            f"{point.tokens_per_s / self.gpus:,.0f}",
            f"{point.ttft_s.p95:.3f}",
            f"{point.tpot_s.p95:.4f}",
            *[f"{gpus:,}" for gpus in needed],
        ]


def row_of(config: Config, promise: Promise) -> Row:
    """Search one deployment's capacity; one that cannot run is a row that says why."""
    deployment = config.deployment
    about = (deployment.id, deployment.description, config.hardware.name, deployment.gpus)
    try:
        study = predicted.Study(config)
    except ConfigError as error:
        return Row(*about, Capacity(0, None), str(error))
    return Row(*about, most_users(study.deployment, pool_of(config, study), promise), "")


def pool_of(config: Config, study: predicted.Study) -> NDArray[np.int32]:
    """Prompts as users send them, each with the expert that the router chooses."""
    [prompts] = sending.ladder_of(config).values()
    return study.deployment.prompts(
        np.array([prompt.input_tokens for prompt in prompts]),
        np.array([prompt.output_tokens for prompt in prompts]),
        study.choose(prompts),
    )


def table(rows: Sequence[Row], users: Sequence[int]) -> list[str]:
    """The rows in Markdown."""
    names = ["deployment", "node type", "GPUs", "users", "users/GPU", "tokens/s/GPU"]
    names += ["TTFT p95 s", "TPOT p95 s", *[f"GPUs for {number:,}" for number in users]]
    lines = [names, ["---"] * len(names), *[row.cells(users) for row in rows]]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def draw(rows: Sequence[Row], promise: Promise, path: Path) -> None:
    """A bar for each deployment and node type: users for each GPU."""
    import matplotlib as mpl
    import pandas as pd
    import seaborn as sns

    mpl.use("Agg")
    frame = pd.DataFrame(
        {
            "deployment": [f"{row.deployment.upper()}: {row.description}" for row in rows],
            "node type": [row.hardware for row in rows],
            "users per GPU": [row.capacity.users / row.gpus for row in rows],
        }
    )
    grid = sns.catplot(
        frame, kind="bar", y="deployment", x="users per GPU", hue="node type", height=4, aspect=2
    )
    grid.set(ylabel="")
    grid.figure.suptitle(
        f"Predicted: TTFT p95 up to {promise.ttft_p95_s:g} s, "
        f"TPOT p95 up to {promise.tpot_p95_s:g} s"
    )
    grid.figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    grid.savefig(path)


def main(arguments: Sequence[str]) -> int:
    """Parse, search, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m er.capacity", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("overrides", nargs="*", default=EVERYTHING, help="as for er.run")
    parser.add_argument("--ttft-p95-s", type=float, default=1.0)
    parser.add_argument("--tpot-p95-s", type=float, default=0.1)
    parser.add_argument("--users", type=int, nargs="+", default=USERS)
    parser.add_argument("--out", type=Path, default=Path("runs/capacity"))
    given = parser.parse_intermixed_args(arguments)
    try:
        promise = Promise(given.ttft_p95_s, given.tpot_p95_s)
        rows = [row_of(config, promise) for config in plan([*POOL, *given.overrides], True)]
        print("\n".join(table(rows, given.users)))
        for row in rows:
            if row.refusal:
                print(f"{row.deployment.upper()}: {row.refusal}")
        draw(rows, promise, given.out / "capacity.png")
        found = [asdict(row) for row in rows]
        (given.out / "capacity.json").write_text(json.dumps(found, indent=2) + "\n")
        print(f"predicted, nothing was started; picture: {given.out / 'capacity.png'}")
    except ErError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
