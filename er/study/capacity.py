"""How many users a deployment carries within limits on latency, and GPUs for more: predicted."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from er.config import Config
from er.errors import ConfigError
from er.load import batches, knee
from er.results import names
from er.results.point import MISSING, Point
from er.results.request import Prompt
from er.results.run_dir import RunDir
from er.simulation.cost import origin_of
from er.study.predicted import Study
from er.study.progress import Progress

AT_MOST_USERS = 1 << 20
PRECISION = 0.01  # of the number of users


@dataclass(frozen=True)
class Carried:
    """The most users of one deployment within load.ttft_at_most_s and load.tpot_at_most_s at the
    95th percentile, and the point they make; NaN where not even one user is."""

    users: int
    gpus: int
    bounded_by: str  # what was wrong with more users
    refusal: str = ""  # why the deployment cannot run at all
    users_per_gpu: float = 0.0
    tokens_per_s_per_gpu: float = MISSING
    ttft_p95_s: float = MISSING
    tpot_p95_s: float = MISSING
    # As many users as it may carry: on the slowest and fastest engines the correction allows.
    users_low: int = 0
    users_high: int = 0
    # By number of users: GPUs of as many whole copies of the deployment, each with its own users.
    gpus_for: dict[str, int] = field(default_factory=dict)


def search(config: Config, run: RunDir, progress: Progress) -> None:
    """Search the most users and keep every point that was tried.

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

    def beyond(users: int) -> str:
        tried[users] = study.play(prompts, users).point()
        return knee.describe_excess(tried[users], config.load)

    users, bounded_by = largest(beyond)
    for point in tried.values():
        if not run.valid_point(point.concurrency):
            run.set_aside(point.concurrency)
            run.add_point(point)
    found = Carried(users, gpus, bounded_by)
    if users:
        found = carried(tried[users], gpus, bounded_by, config.capacity.gpus_for_users)
    may_be = [users, *(users_on(other, prompts, config) for other in study.extremes)]
    found = replace(found, users_low=min(may_be), users_high=max(may_be))
    run.write(names.CAPACITY, asdict(found))
    progress.say(
        f"on {config.hardware.name}: {users} users, {found.users_low} to {found.users_high} "
        f"({bounded_by or 'no end found'})"
    )


def users_on(study: Study, prompts: Sequence[Prompt], config: Config) -> int:
    """The most users on other engines."""
    return largest(
        lambda users: knee.describe_excess(study.play(prompts, users).point(), config.load)
    )[0]


def carried(point: Point, gpus: int, bounded_by: str, users: list[int]) -> Carried:
    """What a point at the limit says of a deployment on `gpus` GPUs, and of more `users`."""
    return Carried(
        users=point.concurrency,
        gpus=gpus,
        bounded_by=bounded_by,
        users_per_gpu=point.concurrency / gpus,
        tokens_per_s_per_gpu=point.tokens_per_s / gpus,
        ttft_p95_s=point.ttft_s.p95,
        tpot_p95_s=point.tpot_s.p95,
        gpus_for={str(count): math.ceil(count / point.concurrency) * gpus for count in users},
    )


def largest(beyond: Callable[[int], str]) -> tuple[int, str]:
    """The most users of whom `beyond` finds nothing wrong, and what it found with more.

    Doubles the users until they are too many, then halves the gap to 1%: latency is taken to rise
    with users. 0 when one is too many; nothing is found wrong up to 2^20 users at the most.
    """
    best, broken, reason = 0, 1, ""
    while broken <= AT_MOST_USERS:
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
