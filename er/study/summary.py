"""The table a sweep ends with."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from er.load import knee
from er.results import capacities as searches
from er.results import labels, names, step_times, terminal
from er.results.fitting import fitting
from er.results.point import Point
from er.results.run_dir import ReadOnce, RunDir
from er.results.words import count_of

COLUMNS: dict[str, Callable[[Point], str]] = {
    "concur-\nrency": lambda point: str(point.concurrency),
    "TTFT\np50 ms": lambda point: f"{point.ttft_s.p50 * 1e3:.1f}",
    "TTFT\np95 ms": lambda point: f"{point.ttft_s.p95 * 1e3:.1f}",
    "TPOT\np50 ms": lambda point: f"{point.tpot_s.p50 * 1e3:.2f}",
    "E2E\np50 s": lambda point: f"{point.e2e_s.p50:.2f}",
    "tokens\n/s": lambda point: f"{point.tokens_per_s:.0f}",
    "requests": lambda point: str(point.requests),
    "errors": lambda point: str(point.errors),
    "valid": lambda point: "[red]no[/red]" if point.invalid else "yes",
}
POINTS_SHOWN = 60  # of more, the table has one for each run
RUNS_NAMED = 10
PER_GPU = ("per\nGPU", "tokens/s\n/GPU")
CARRIED = ("node type", "GPUs", "concurrency", *PER_GPU)  # of a search for capacity
PREDICTED = ", predicted"  # at the end of the names of such runs
NAME_WIDTH = 10  # at least, where a terminal is narrow
BESIDE_NAMES = 50  # that the columns take which are always there
# Left out, in this order, where a terminal is too narrow.
DISPENSABLE = ("requests", "errors", "TTFT\np95 ms", "E2E\np50 s", "TPOT\np50 ms")


def show(runs: Sequence[RunDir], out: Console) -> None:
    """Print the table, and every reason not to believe it."""
    runs = [ReadOnce(run.path) for run in runs]
    searched = [run for run in runs if run.has(names.CAPACITY)]
    walked = [run for run in runs if run not in searched and run.points()]
    lines: list[str] = []
    if searched:
        out.print(capacities(searched, out))
        lines += [*limits_met(searched), *draws_of(searched), *origins_of(searched)]
    if walked:
        out.print(table(walked, out))
        lines += [*legend(walked), *doubts(walked)]
        lines += [*knees(walked), *gateway_costs(walked)]
    for line in lines:
        terminal.show(out, line)
    if not lines:
        return
    for line in places(runs):
        terminal.show(out, line)


def places(runs: Sequence[RunDir]) -> list[str]:
    """Where each run is; of many runs, where they are together."""
    if len(runs) <= RUNS_NAMED:
        return [f"run directory: {run.path}" for run in runs]
    together = Counter(run.path.parent for run in runs)
    return [f"run directories: {count} in {folder}" for folder, count in together.items()]


def table(runs: Sequence[RunDir], out: Console) -> Table:
    """Deployment x concurrency, from the run directories, in as many columns as fit."""
    name_width = max(NAME_WIDTH, out.width - BESIDE_NAMES)
    return fitting(
        lambda columns: _table(runs, columns, name_width), list(COLUMNS), DISPENSABLE, out
    )


def _table(runs: Sequence[RunDir], columns: Sequence[str], name_width: int) -> Table:
    configs = [run.read(names.CONFIG) for run in runs]
    engines = ", ".join(sorted({config["engine"]["kind"] for config in configs}))
    virtual = {config["clock"]["kind"] for config in configs} == {"virtual"}
    how = "Predicted on a virtual clock" if virtual else "Measured at the client"
    short = is_short(runs)
    which = (
        "; of each run the highest valid concurrency, all are in its points.json" if short else ""
    )
    result = Table(
        title=f"{how}; engine: {engines}{which}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    called = long_names_of(runs) if short else names_of(runs)
    result.add_column("", overflow="fold", min_width=min(max(map(len, called)), name_width))
    for heading in columns:
        result.add_column(heading, justify="right", no_wrap=True)
    for run, name in zip(runs, called, strict=True):
        for position, point in enumerate(shown_of(run, short)):
            cells = [COLUMNS[column](point) for column in columns]
            result.add_row(name if position == 0 else "", *cells)
        if not short:
            result.add_section()
    return result


def names_of(runs: Sequence[RunDir]) -> list[str]:
    """What the table and the lines below it call runs: the letters of their deployments where these
    tell them apart, else longer names."""
    letters, long = list(map(deployment_of, runs)), long_names_of(runs)
    return long if len(set(long)) > len(set(letters)) else letters


def long_names_of(runs: Sequence[RunDir]) -> list[str]:
    """The names of runs in MLflow, without what the table's title says of all."""
    found = [labels.run_name(run.read(names.CONFIG)) for run in runs]
    virtual = all(name.endswith(PREDICTED) for name in found)
    return [name.removesuffix(PREDICTED) for name in found] if virtual else found


def shown_of(run: RunDir, short: bool) -> list[Point]:
    """The points of a run that a table shows: all, or in a short one the highest valid one."""
    points = run.points()
    if not short:
        return points
    return [point for point in points if not point.invalid][-1:] or points[-1:]


def is_short(runs: Sequence[RunDir]) -> bool:
    """Whether a table of all their points would be too long to read."""
    return sum(len(run.points()) for run in runs) > POINTS_SHOWN


def capacities(runs: Sequence[RunDir], out: Console) -> Table:
    """Deployment and node type, from the searches for the highest concurrency."""
    users = runs[0].read(names.CONFIG)["capacity"]["gpus_for_users"]
    more = [f"GPUs for\n{count:,}" for count in users]
    left_out = [*more, PER_GPU[1], "node type", PER_GPU[0]]
    return fitting(lambda columns: _capacities(runs, columns), [*CARRIED, *more], left_out, out)


def _capacities(runs: Sequence[RunDir], columns: Sequence[str]) -> Table:
    configs = [run.read(names.CONFIG) for run in runs]
    settings = labels.apart(configs)
    load = configs[0]["load"]
    result = Table(
        title=f"Predicted: highest concurrency with TTFT p95 <= {load['ttft_at_most_s']:g} s and "
        f"TPOT p95 <= {load['tpot_at_most_s']:g} s",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    result.add_column("", overflow="fold", min_width=NAME_WIDTH)
    for heading in columns:
        justify: Literal["left", "right"] = "left" if heading == "node type" else "right"
        result.add_column(heading, justify=justify, no_wrap=True)
    for run, config, apart in zip(runs, configs, settings, strict=True):
        name = f"{deployment_of(run)} {labels.engines(config)} {apart}"
        cells = {"node type": config["hardware"]["name"]} | _carried(run.read(names.CAPACITY))
        result.add_row(name, *[cells.get(heading, "") for heading in columns])
    return result


def limits_met(runs: Sequence[RunDir]) -> list[str]:
    """One line for each search: which limit a higher concurrency, or any, would break."""
    configs = [run.read(names.CONFIG) for run in runs]
    lines = []
    for run, config, apart in zip(runs, configs, labels.apart(configs), strict=True):
        found = run.read(names.CAPACITY)
        reason = found["refusal"] or found["bounded_by"] or "no end found"
        reason = "; ".join(filter(None, [reason, searches.describe_low_end(found)]))
        where = " ".join(filter(None, [config["hardware"]["name"], apart]))
        lines.append(f"{deployment_of(run)} {labels.engines(config)} on {where}: {reason}")
    return lines


def draws_of(runs: Sequence[RunDir]) -> list[str]:
    """What the intervals of searches hold, and how far those that differ in the seed are apart."""
    found = [run.read(names.CAPACITY) for run in runs]
    seen = searches.describe_draws([run.read(names.CONFIG) for run in runs], found)
    if any(each["concurrency"] for each in found):
        return [f"below each concurrency: {searches.INTERVAL}; {searches.DRAWS}", *seen]
    return seen


def _carried(found: dict[str, Any]) -> dict[str, str]:
    """The cells of one search, by heading."""
    gpus, users = {"GPUs": str(found["gpus"])}, found["concurrency"]
    if not users:
        return gpus | {"concurrency": searches.describe_none(found) or "none"}
    between = f"{found['concurrency_low']:,} to {found['concurrency_high']:,}"
    return {
        **gpus,
        "concurrency": f"{users:,}\n{between}",
        PER_GPU[0]: f"{found['concurrency_per_gpu']:,.1f}",
        PER_GPU[1]: f"{found['tokens_per_s_per_gpu']:,.0f}",
        **{
            f"GPUs for\n{int(more):,}": f"{searches.round_up(gpus):,}"
            for more, gpus in found["gpus_for"].items()
        },
    }


def legend(runs: Sequence[RunDir]) -> list[str]:
    """One line for each run: what its name in the table stands for, overrides included."""
    configs = [run.read(names.CONFIG) for run in runs]
    lines = []
    facts = zip(runs, configs, names_of(runs), labels.apart(configs), strict=True)
    for run, config, name, apart in facts:
        title = run.read(names.RECORD)["tags"]["er.title"]
        where = f"{labels.engines(config)} on {config['hardware']['name']}"
        lines.append(f"{name}  {title}: {where} {apart}".rstrip())
    found = [] if is_short(runs) else list(dict.fromkeys(lines))  # a short table's names say it
    return [*found, *origins_of(runs)]


def origins_of(runs: Sequence[RunDir]) -> list[str]:
    """A line on how much of the step times of predictions was measured, where there are any."""
    said = step_times.describe_origins(
        (deployment_of(run), step_times.origin_of(run)) for run in runs
    )
    return [said] if said else []


def doubts(runs: Sequence[RunDir]) -> list[str]:
    """One line for each reason not to believe a point, then for what else is to be known of one."""
    found: dict[str, Counter[str]] = {"invalid": Counter(), "note": Counter()}
    for run, name in zip(runs, names_of(runs), strict=True):
        for point in run.points():
            where = f"{name}, {count_of(point.concurrency, 'user')}"
            found["invalid"].update(f"invalid: {where}: {reason}" for reason in point.invalid)
            found["note"].update(f"note: {where}: {note}" for note in point.notes)
    return [
        line + (f" ({count} runs)" if count > 1 else "")
        for lines in found.values()
        for line, count in lines.items()
    ]


def gateway_costs(runs: Sequence[RunDir]) -> list[str]:
    """One line for each deployment behind the gateway."""
    lines = []
    for run, name in zip(runs, names_of(runs), strict=True):
        if run.has(names.GATEWAY_COST):
            cost = run.read_numbers(names.GATEWAY_COST)
            lines.append(
                f"{name}: the gateway adds "
                f"{cost['ttft_difference_p50_s'] * 1e3:.1f} ms to the time to first token "
                f"(median of {cost['pairs']} pairs; quartiles "
                f"{cost['ttft_difference_p25_s'] * 1e3:.1f} to "
                f"{cost['ttft_difference_p75_s'] * 1e3:.1f} ms)"
            )
    return list(dict.fromkeys(lines))  # a run may be in several studies


def knees(runs: Sequence[RunDir]) -> list[str]:
    """One line for each deployment whose knee was looked for and found."""
    return [
        f"{name}: {knee.describe(knee.Knee(**run.read('knee.json')))}"
        for run, name in zip(runs, names_of(runs), strict=True)
        if run.has(names.KNEE)
    ]


def deployment_of(run: RunDir) -> str:
    """Name of the run's deployment."""
    return str(run.read(names.CONFIG)["deployment"]["id"]).upper()
