"""`python -m er.capacity`: what searches for capacity found, as a table for a document."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from er import cli
from er.errors import ConfigError
from er.results import capacities, labels, names, step_times
from er.results.marked import around, replace_between
from er.results.run_dir import RunDir

BEGIN, END = "<!-- written by python -m er.capacity --write -->", "<!-- end of capacity -->"
HEADINGS = (
    *("", "node type", "GPUs", "users in flight", "for these prompts", "per GPU"),
    *("tokens/s per GPU", "with more"),
)


def main(arguments: Sequence[str]) -> None:
    """Print what searches for capacity found, as a table in Markdown."""
    parser = cli.parser("er.capacity", main.__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("runs/capacity"),
        help="with the run directories of python -m er.run +experiment=capacity",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"write it between the lines {BEGIN} and {END}"
    )
    options = parser.parse_args(arguments)
    if options.write:
        around(options.write, BEGIN, END)
    text = "\n".join(markdown(runs_in(options.folder)))
    if options.write:
        replace_between(options.write, BEGIN, END, text)
        print(f"capacity: {options.write}")
    else:
        print(text)


def runs_in(folder: Path) -> list[RunDir]:
    """The searches in a folder, by deployment, then from the node type with the slowest memory to
    that with the fastest, then by seed. Raises ConfigError where there is none."""
    runs = [RunDir(path) for path in sorted(folder.glob("*")) if path.is_dir()]
    found = [run for run in runs if run.has(names.CAPACITY)]
    if not found:
        raise ConfigError(
            f"{folder} holds no search for capacity: make one with "
            "python -m er.run +experiment=capacity"
        )
    return sorted(found, key=place_of)


def place_of(run: RunDir) -> tuple[str, float, str, int]:
    """What the order of rows goes by."""
    config = run.read(names.CONFIG)
    hardware = config["hardware"]
    speed = float(hardware["memory_bandwidth_bytes_per_s"])
    return config["deployment"]["id"], speed, hardware["name"], config["seed"]


def markdown(runs: Sequence[RunDir]) -> list[str]:
    """A row for each search; below, how much of its step times was measured."""
    configs = [run.read(names.CONFIG) for run in runs]
    load = configs[0]["load"]
    lines = [
        f"Within TTFT p95 <= {load['ttft_at_most_s']:g} s and TPOT p95 <= "
        f"{load['tpot_at_most_s']:g} s; predicted. *For these prompts* is {capacities.INTERVAL}; "
        f"{capacities.DRAWS}. GPUs are rounded up to {capacities.DIGITS} digits.",
        "",
        f"| {' | '.join((*HEADINGS, *more_headings(configs[0])))} |",
        "|---" * (len(HEADINGS) + len(more_headings(configs[0]))) + "|",
    ]
    searches = [run.read(names.CAPACITY) for run in runs]
    for found, config, apart in zip(searches, configs, labels.apart(configs), strict=True):
        lines.append(f"| {' | '.join(cells(found, config, apart))} |")
    origins = [
        (config["deployment"]["id"].upper(), step_times.origin_of(run))
        for run, config in zip(runs, configs, strict=True)
    ]
    below = [
        f"{' on '.join(cells(found, config, '')[:2])}, {end}."
        for found, config in zip(searches, configs, strict=True)
        if (end := capacities.describe_low_end(found))
    ]
    below += [f"{line}." for line in capacities.describe_draws(configs, searches)]
    origin = step_times.describe_origins(origins)
    below += [f"{origin}."] if origin else []
    return [*lines, *(line for each in below for line in ("", each))]


def more_headings(config: dict[str, Any]) -> list[str]:
    """The columns of GPUs that more users need."""
    return [f"GPUs for {users:,}" for users in config["capacity"]["gpus_for_users"]]


def cells(found: dict[str, Any], config: dict[str, Any], apart: str) -> list[str]:
    """One search; empty cells where nothing is carried."""
    deployment = config["deployment"]
    name = f"{deployment['id'].upper()} {labels.engines(config)} {apart}".strip()
    head = [name, config["hardware"]["name"], str(found["gpus"])]
    more = [f"{capacities.round_up(gpus):,}" for gpus in found["gpus_for"].values()]
    if not found["concurrency"]:
        why = capacities.describe_none(found) or found["bounded_by"]
        why += f": {found['refusal']}" * bool(found["refusal"])
        return [*head, "0", *[""] * 3, why, *[""] * len(more_headings(config))]
    return [
        *head,
        f"{found['concurrency']:,}",
        f"{found['concurrency_low']:,} to {found['concurrency_high']:,}",
        f"{found['concurrency_per_gpu']:,.1f}",
        f"{found['tokens_per_s_per_gpu']:,.0f}",
        found["bounded_by"] or "no end found",
        *more,
    ]


if __name__ == "__main__":
    sys.exit(cli.run("er.capacity", lambda: main(sys.argv[1:])))
