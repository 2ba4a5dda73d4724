"""Predicts the highest concurrency within limits on latency, and the GPUs for more users."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter

from er.config import Config, Load, Precision
from er.config.load import CONCURRENCY_AT_MOST
from er.errors import ConfigError
from er.load import batches, knee
from er.results import names
from er.results.point import MISSING, Point
from er.results.request import Prompt
from er.results.run_dir import RunDir
from er.simulation.cost import origin_of
from er.simulation.spec import Bound
from er.simulation.uncertainty import factor_of
from er.study.predicted import Study
from er.study.progress import Progress

PRECISION = 0.01  # of the concurrency
ENGINES = {
    Bound.none: "with the slowest correction",
    Bound.fp16: "with INT8 as slow as FP16",
    Bound.roofline: "with INT8 as fast as memory and tensor cores allow",
}


@dataclass(frozen=True)
class Carried:
    """The highest concurrency of one deployment within load.ttft_at_most_s and load.tpot_at_most_s
    at the 95th percentile, and its point; NaN where not even one user is within them."""

    concurrency: int
    gpus: int
    bounded_by: str  # what was wrong with more users
    refusal: str = ""  # why the deployment cannot run at all
    concurrency_per_gpu: float = 0.0
    tokens_per_s_per_gpu: float = MISSING
    ttft_p95_s: float = MISSING
    tpot_p95_s: float = MISSING
    # As few and as many as the model allows with the same prompts and router.
    concurrency_low: int = 0
    concurrency_high: int = 0
    low_bounded_by: str = ""  # what was wrong with more than concurrency_low, on which engine
    # By number of users: GPUs of as many whole copies of the deployment, each with its own users.
    gpus_for: dict[str, int] = field(default_factory=dict)


def search(config: Config, run: RunDir, progress: Progress) -> None:
    """Search the highest concurrency and keep every point that was tried.

    A deployment that cannot run on the node type is an answer too, which says why.
    """
    assert config.capacity
    gpus = config.deployment.gpus
    try:
        study = Study(config)
    except ConfigError as error:
        run.write(names.CAPACITY, asdict(Carried(0, gpus, "", refusal=str(error))))
        progress.say(f"on {config.hardware.name}: cannot run")
        return
    run.write(names.STEP_TIMES, origin_of(study.spec))
    prompts = batches.build_prompts(config, config.capacity.prompts, config.seed)
    tried: dict[int, Point] = {}

    def beyond(concurrency: int) -> str:
        tried[concurrency] = study.play(prompts, concurrency).point()
        return knee.describe_excess(tried[concurrency], config.load)

    concurrency, bounded_by = largest(beyond)
    for point in tried.values():
        if not run.valid_point(point.concurrency):
            run.set_aside(point.concurrency)
            run.add_point(point)
    found = Carried(concurrency, gpus, bounded_by)
    if concurrency:
        found = carried(tried[concurrency], gpus, bounded_by, config.capacity.gpus_for_users)
    low, high, low_bounded_by = between(study, prompts, config.load)
    found = replace(
        found,
        concurrency_low=min(low, concurrency),
        concurrency_high=max(high, concurrency),
        low_bounded_by=low_bounded_by,
    )
    run.write(names.CAPACITY, asdict(found))
    progress.say(
        f"on {config.hardware.name}: {concurrency} users, {found.concurrency_low} to "
        f"{found.concurrency_high} for these prompts ({bounded_by or 'no end found'})"
    )


def between(study: Study, prompts: Sequence[Prompt], load: Load) -> tuple[int, int, str]:
    """The lowest and highest concurrency on the slowest and fastest engines that the correction
    allows, with limits as much tighter or looser as the model cannot explain latencies; and what
    keeps the lowest from being higher."""
    precision = study.spec.precision
    tight, loose = scaled(load, precision, -1), scaled(load, precision, 1)
    fewest = [(*concurrency_on(engines, prompts, tight), engines) for engines in study.extremes]
    low, reason, slowest = min(fewest, key=itemgetter(0))
    limits = f"limits of {tight.ttft_at_most_s:.3g} s and {tight.tpot_at_most_s:.3g} s"
    words = f"{reason}, {ENGINES[slowest.spec.bound]} and {limits}" if reason else ""
    high = max(concurrency_on(engines, prompts, loose)[0] for engines in study.extremes)
    return low, high, words


def concurrency_on(study: Study, prompts: Sequence[Prompt], load: Load) -> tuple[int, str]:
    """The highest concurrency of a study within these limits, and what is wrong with more."""
    return largest(lambda n: knee.describe_excess(study.play(prompts, n).point(), load))


def scaled(load: Load, precision: Precision, power: int) -> Load:
    """The load with looser limits on latency, or with -1 tighter ones."""
    return replace(
        load,
        ttft_at_most_s=load.ttft_at_most_s * factor_of("ttft_s.p95", precision) ** power,
        tpot_at_most_s=load.tpot_at_most_s * factor_of("tpot_s.p95", precision) ** power,
    )


def carried(point: Point, gpus: int, bounded_by: str, users: list[int]) -> Carried:
    """What `gpus` GPUs carry at the point at the limit, and the GPUs that more `users` need."""
    return Carried(
        concurrency=point.concurrency,
        gpus=gpus,
        bounded_by=bounded_by,
        concurrency_per_gpu=point.concurrency / gpus,
        tokens_per_s_per_gpu=point.tokens_per_s / gpus,
        ttft_p95_s=point.ttft_s.p95,
        tpot_p95_s=point.tpot_s.p95,
        gpus_for={str(count): math.ceil(count / point.concurrency) * gpus for count in users},
    )


def largest(beyond: Callable[[int], str]) -> tuple[int, str]:
    """The highest concurrency at which `beyond` finds nothing wrong, and what it found above that.

    Doubles the concurrency until it is too high, then halves the gap to 1%: latency is taken to
    rise with concurrency. 0 when 1 is too high; 2^20 is the highest that is tried.
    """
    best, broken, reason = 0, 1, ""
    while broken <= CONCURRENCY_AT_MOST:
        reason = beyond(broken)
        if reason:
            break
        best, broken = broken, 2 * broken
    while reason and broken - best > max(1, PRECISION * best):
        middle = (best + broken) // 2
        found = beyond(middle)
        if found:
            broken, reason = middle, found
        else:
            best = middle
    return best, reason
