"""How long a predicted point has to be: until it is steady.

Users who choose among experts gather, turn after turn, at the one that most prompts go to. On a
virtual clock the hours that this may take cost seconds, so a point that still changes is played
again with a longer warm-up and more requests.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from er.config import Arrivals, Load
from er.load import arrivals
from er.results.point import Point, summarise
from er.results.request import Prompt

LONGER = 4  # times the warm-up and the requests, each time
LONGEST = 16  # times those that are configured
CHANGE = 0.1  # of a median, from the first half of a point to its second


class Played(Protocol):
    """One point on a virtual clock."""

    def point(self) -> Point:
        """Its statistics."""
        ...

    def measured_ttft_s(self) -> NDArray[np.float64]:
        """Time to first token of its answered measured requests, in order of sending."""
        ...


class Study(Protocol):
    """A deployment on a virtual clock, and its load."""

    load: Load

    def play(self, prompts: Sequence[Prompt], concurrency: int) -> Played:
        """The point of so many users."""
        ...

    def longer(self, times: int) -> Any:
        """The same study with so many times the warm-up and requests."""
        ...


S = TypeVar("S", bound=Study)


def settle(study: S, prompts: Sequence[Prompt], concurrency: int) -> tuple[int, S]:
    """How many times the configured load a point needs, and the study with that load.

    A load that a duration or a trace ends is left as it is, and so is one whose transient is cut
    off (load.steady_state).
    """
    load, times, longer = study.load, 1, study
    counted = load.arrivals is Arrivals.closed_loop and not load.duration_s
    if not counted or load.steady_state or not load.requests_per_user:
        return times, longer
    while times < LONGEST and is_unsteady(longer.play(prompts, concurrency)):
        times *= LONGER
        longer = study.longer(times)
    return times, longer


def is_unsteady(played: Played) -> bool:
    """Whether the steady window is too short or breaks Little's law, or the median time to first
    token changes from one half of the requests to the other, beyond its 95% intervals."""
    point = played.point()
    if point.invalid and not point.errors:
        return True
    first, second = (summarise(half) for half in np.array_split(played.measured_ttft_s(), 2))
    apart = first.p50_high < second.p50_low or second.p50_high < first.p50_low
    return bool(apart and abs(second.p50 - first.p50) > CHANGE * point.ttft_s.p50)


def notes_of(times: int, requests: int, kept: int) -> list[str]:
    """What to know of a point of so many requests that was played longer than configured, and of
    which so many are kept. `er.results.consistency` reads the numbers."""
    if times == 1:
        return []
    return [
        f"steady only with {times} times the warm-up and requests of the load; of its "
        f"{requests:,} requests the last {kept:,} are kept"
    ]


def last_of(table: pa.Table, concurrency: int, load: Load) -> pa.Table:
    """Of a longer point's requests, as many as a point of the load `load` has: the last ones.

    They are numbered as there, by their prompts, so that other deployments' answers to the same
    prompts are found.
    """
    measured = table.filter(pc.invert(pc.or_(table["warmup"], table["cooldown"])))
    count = arrivals.count_requests(concurrency, load)
    first = measured.num_rows - count
    numbers = arrivals.count_warmups(concurrency, load) + (first + np.arange(count)) % count
    place = table.schema.get_field_index("index")
    return measured.slice(first).set_column(place, "index", pa.array(numbers))
