"""Published runs beside the same simulated: relative errors, and those to be reached."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from er.compose import plan
from er.config import Model, Precision
from er.simulation.as_published import Study, simulated_offline, simulated_serving
from er.simulation.published import (
    AT_ONCE,
    HELD_OUT,
    VARIABLE,
    Offline,
    Serving,
    fits,
    fp8,
    offline,
    serving,
)
from er.simulation.spec import spec_of
from er.simulation.uncertainty import extremes

QUANTITIES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tokens_per_s": "tokens/s"}
PREDICTED = {"ttft_ms": "ttft_s", "itl_ms": "tpot_s", "tokens_per_s": "tokens_per_s"}  # of a point
OF_THE_STUDY = ["deployment=b,e", "hardware=h100_sxm,h200_sxm,a100_sxm", "engine=simulated"]
THREADS = 2
Row = Serving | Offline


@dataclass(frozen=True)
class Comparison:
    """One published run and the same simulated."""

    published: Row
    simulated: Row

    @property
    def held_out(self) -> bool:
        """Whether nothing was fitted on it."""
        return self.published.split == HELD_OUT

    @property
    def lengths(self) -> str:
        """Tokens in and out, as the tables call them."""
        return f"{self.published.input_tokens}/{self.published.output_tokens}"

    def ratio(self, quantity: str) -> float:
        """Simulated over published."""
        return quantities_of(self.simulated)[quantity] / quantities_of(self.published)[quantity]

    def error(self, quantity: str, rounded: bool) -> float:
        """Relative error; with `rounded`, only what lies beyond the rounding of what was published,
        NaN where it was not."""
        known = quantities_of(self.published)
        if quantity not in known:
            return float("nan")
        plain = abs(self.ratio(quantity) - 1)
        half = half_digits(self.published)[quantity] / known[quantity]
        return max(plain - half, 0.0) if rounded else plain


def quantities_of(row: Row) -> dict[str, float]:
    """What was published of a run."""
    if isinstance(row, Serving):
        return {name: float(getattr(row, name)) for name in QUANTITIES}
    return {"tokens_per_s": row.tokens_per_s}


def precision_of(row: Row) -> Precision:
    """The precision of the engine's weights."""
    return Precision(row.precision) if isinstance(row, Offline) else Precision.fp16


def half_digits(row: Row) -> dict[str, float]:
    """Half of the last digit of each: serving has whole numbers, maximum throughput hundredths."""
    return dict.fromkeys(quantities_of(row), 0.5 if isinstance(row, Serving) else 0.005)


@functools.cache
def published_study() -> Study:
    """The default engine, with its correction, and what the published rows name."""
    specs = [spec_of(config) for config in plan(OF_THE_STUDY, True)]
    models = {spec.model.name: spec.model for spec in specs}
    return Study(
        specs[0],
        {**models, "llama2_70b": llama2_70b(models["llama3_70b"])},
        {spec.hardware.name: spec.hardware for spec in specs},
        kept_share=fits()["kept_share"],
    )


def llama2_70b(llama3: Model) -> Model:
    """The layers of Llama 3 70B, whose kernel times it takes, and a vocabulary of 32,000 tokens."""
    return replace(llama3, parameters=68_976_648_192, embedding_parameters=524_288_000)


def simulated(row: Row, study: Study) -> Row:
    """A published run as simulated."""
    if isinstance(row, Serving):
        return simulated_serving(row, study)
    return simulated_offline(row, study)


def sixteen_bit() -> list[Row]:
    """Published runs in 16 bits."""
    return [*serving(), *offline()]


def every_row() -> list[Row]:
    """All published runs."""
    return [*sixteen_bit(), *fp8()]


def compare(study: Study, rows: Sequence[Row] | None = None) -> list[Comparison]:
    """Published runs, all if none are given, with the correction of the study's engine."""
    chosen = every_row() if rows is None else rows
    with ThreadPoolExecutor(THREADS) as pool:
        ours = pool.map(lambda row: simulated(row, study), chosen)
        return [Comparison(row, found) for row, found in zip(chosen, ours, strict=True)]


def is_serving(c: Comparison) -> bool:
    """Whether requests arrive at an engine behind Triton."""
    return isinstance(c.published, Serving)


def is_offline(c: Comparison) -> bool:
    """Whether it is one of maximum throughput in 16 bits."""
    return isinstance(c.published, Offline) and c.published.precision == "fp16"


def is_fp8(c: Comparison) -> bool:
    """Whether weights and KV cache are in FP8."""
    return isinstance(c.published, Offline) and c.published.precision == "fp8"


def is_saturated(c: Comparison) -> bool:
    """Whether all requests come at once, so that the engine and not arrivals set tokens/s."""
    return isinstance(c.published, Serving) and c.published.requests_per_s == AT_ONCE


def is_saturated_and_varies(c: Comparison) -> bool:
    """Whether requests of many lengths come all at once."""
    return is_saturated(c) and isinstance(c.published, Serving) and c.published.lengths == VARIABLE


Chosen = Callable[[Comparison], bool]
GROUPS: dict[str, Chosen] = {
    "serving": is_serving,
    "serving, all at once": is_saturated,
    "serving, lengths that vary, all at once": is_saturated_and_varies,
    "maximum throughput": is_offline,
    "FP8, maximum throughput": is_fp8,
}
# Errors to reach: group, quantity, of which errors what.
Aim = tuple[str, str, Callable[..., float], float]
AIMS: dict[str, Aim] = {
    "serving ITL, mean": ("serving", "itl_ms", np.mean, 0.05),
    "serving TTFT, mean": ("serving", "ttft_ms", np.mean, 0.07),
    "serving TTFT, largest": ("serving", "ttft_ms", np.max, 0.25),
    "serving tokens/s, mean": ("serving", "tokens_per_s", np.mean, 0.025),
    "maximum throughput, mean": ("maximum throughput", "tokens_per_s", np.mean, 0.05),
    "maximum throughput, largest": ("maximum throughput", "tokens_per_s", np.max, 0.12),
    "lengths that vary, saturated, tokens/s, largest": (
        "serving, lengths that vary, all at once",
        "tokens_per_s",
        np.max,
        0.08,
    ),
    "FP8, mean": ("FP8, maximum throughput", "tokens_per_s", np.mean, 0.10),
}


def errors(
    comparisons: Sequence[Comparison], quantity: str, chosen: Chosen = bool, rounded: bool = False
) -> NDArray[np.float64]:
    """Relative errors of the chosen runs."""
    found = np.array([c.error(quantity, rounded) for c in comparisons if chosen(c)])
    known: NDArray[np.float64] = found[~np.isnan(found)]
    return known


def held_out(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those that nothing was fitted on."""
    return [c for c in comparisons if c.held_out]


def figures(rows: Sequence[Row], study: Study) -> NDArray[np.float64]:
    """Every figure of these runs as simulated, one run after the other."""
    with ThreadPoolExecutor(THREADS) as pool:
        ours = pool.map(lambda row: quantities_of(simulated(row, study)), rows)
        return np.array([value for found in ours for value in found.values()])


def bounds(row: Row, study: Study) -> dict[str, tuple[float, float]]:
    """The lowest and highest of each figure on the engines of `uncertainty.extremes`."""
    corrections = [spec.engine.correction for spec in extremes(study.spec(row))]
    ours = [quantities_of(simulated(row, study.corrected(each))) for each in corrections]
    return {name: (min(of[name] for of in ours), max(of[name] for of in ours)) for name in ours[0]}
