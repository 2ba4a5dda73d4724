"""Bootstrap over requests: the values that a point might have had.

B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993). All deployments get the same
prompts at a concurrency, so the same prompts are drawn for all of them (paired); what two answers
have in common, their length above all, then cancels in a ratio.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd

from er.results.point import Point
from er.tracking.query import PublishedRun

DRAWS = 200  # for a standard error; its own error is then 5%
COLUMNS = ("concurrency", "index", "input_tokens", "output_tokens", "ttft_s", "tpot_s", "e2e_s")
REQUESTS_AT_LEAST = 10  # of fewer, draws say too little of what others would have been
Values = npt.NDArray[np.float64]
LATENCIES = ("ttft_s", "tpot_s", "e2e_s")


class Resamples:
    """Of the runs that a claim, or several, are decided by."""

    def __init__(self, runs: Sequence[PublishedRun]) -> None:
        tables = [run.measured(*COLUMNS).dropna() for run in runs]
        self._tables = {
            run.run_id: {
                int(concurrency): table[table["concurrency"] == concurrency]
                for concurrency in table["concurrency"].unique()
            }
            for run, table in zip(runs, tables, strict=True)
        }
        self._seeds = {run.run_id: int(run.config.get("seed", 0)) for run in runs}
        self._places = {run.run_id: place for place, run in enumerate(runs)}
        self._rows: dict[tuple[str, int], pd.DataFrame] = {}
        self._logs: dict[tuple[str, int, str], Values] = {}
        self.paired: dict[int, bool] = {}
        for concurrency in sorted(
            {concurrency for table in self._tables.values() for concurrency in table}
        ):
            pairs = [self._pair(concurrency, seed) for seed in {*self._seeds.values()}]
            self.paired[concurrency] = all(pairs)

    def count(self, run: PublishedRun, concurrency: int) -> int:
        """How many requests of a point are drawn from."""
        return len(self._rows.get((run.run_id, concurrency), ()))

    def logs(self, run: PublishedRun, concurrency: int, quantity: str) -> Values | None:
        """The natural logarithm of a quantity in each draw, (DRAWS,); None without requests,
        and of too few.

        Throughput follows from Little's law: tokens over response time, of each draw.
        """
        key = (run.run_id, concurrency, quantity)
        if key not in self._logs:
            rows = self._rows.get((run.run_id, concurrency))
            if rows is None or len(rows) < REQUESTS_AT_LEAST:
                return None
            alone = () if self.paired[concurrency] else (self._places[run.run_id],)
            generator = np.random.default_rng((concurrency, self._seeds[run.run_id], *alone))
            drawn = generator.integers(len(rows), size=(DRAWS, len(rows)), dtype=np.int32)
            self._logs[key] = np.log(_statistic(quantity)(rows, drawn))
        return self._logs[key]

    def _pair(self, concurrency: int, seed: int) -> bool:
        """Keep for each run of a seed the requests of a concurrency in one order, where their
        prompts are the same, and whether they are; each run's own otherwise."""
        here = {
            run: tables[concurrency]
            for run, tables in self._tables.items()
            if concurrency in tables and self._seeds[run] == seed
        }
        if not here:
            return True
        ordered = {run: table.set_index("index").sort_index() for run, table in here.items()}
        common = reduce(pd.Index.intersection, [table.index for table in ordered.values()])
        paired = len(common) >= REQUESTS_AT_LEAST and all(
            table.index.is_unique for table in ordered.values()
        )
        if paired:
            shared = [table.loc[common, "input_tokens"].to_numpy() for table in ordered.values()]
            paired = all(bool((tokens == shared[0]).all()) for tokens in shared)
        for run, table in ordered.items():
            self._rows[run, concurrency] = table.loc[common] if paired else table
        return paired


def value(run: PublishedRun, point: Point, quantity: str) -> float:
    """A quantity of a point, such as `ttft_s.p50` in seconds or `tokens_per_s_per_gpu`."""
    if quantity == "tokens_per_s_per_gpu":
        return point.tokens_per_s / run.gpus
    found: object = point
    for name in quantity.split("."):
        found = getattr(found, name)
    assert isinstance(found, float | int)
    return float(found)


def _statistic(quantity: str) -> Callable[[pd.DataFrame, npt.NDArray[np.int32]], Values]:
    name, _, statistic = quantity.partition(".")
    if name not in LATENCIES:
        return lambda rows, drawn: (
            rows["output_tokens"].to_numpy(np.float64)[drawn].mean(axis=1)
            / rows["e2e_s"].to_numpy(np.float64)[drawn].mean(axis=1)
        )
    if statistic == "min":
        return lambda rows, drawn: rows[name].to_numpy(np.float64)[drawn].min(axis=1)
    share = float(statistic.removeprefix("p")) / 100
    return lambda rows, drawn: np.quantile(rows[name].to_numpy(np.float64)[drawn], share, axis=1)
