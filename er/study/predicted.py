"""The ladder on a virtual clock: the same prompts, router, load and engine, and nothing started."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from er.config import Arrivals, Config, Load, Policy
from er.load import arrivals, batches, knee
from er.results import names, window
from er.results.point import MISSING, Point, doubts_of, little_ratio, measure
from er.results.request import Prompt, Request
from er.results.run_dir import RunDir
from er.routing import policies, router
from er.simulation import uncertainty
from er.simulation.cost import NS_PER_S, origin_of
from er.simulation.deployment import Delays, VirtualDeployment, deployment_of
from er.simulation.outcome import Outcome
from er.simulation.prefixes import groups_of
from er.simulation.request_rows import list_requests
from er.simulation.spec import EngineSpec, spec_of
from er.simulation.tables import LEAST_LOADED
from er.simulation.users import NO_FLAGS
from er.study import inputs, known
from er.study.progress import Progress
from er.study.settling import last_of, notes_of, settle

UNMEASURED_PER_USER = 4  # prompts to begin with, until the last measured request has ended
# What of a predicted point has an interval.
QUANTITIES = (
    *("ttft_s.p50", "ttft_s.p95", "tpot_s.p50", "tpot_s.p95", "e2e_s.p50", "e2e_s.p95"),
    *("tokens_per_s", "requests_per_s"),
)
Experts = NDArray[np.int64]
Choose = Callable[[Sequence[Prompt]], Experts]  # the expert of each prompt, in order of sending


def walk_the_ladder(config: Config, run: RunDir, progress: Progress) -> None:
    """Predict every point that is missing, with a record of each request as if it had been
    measured.

    Raises ConfigError when the deployment does not fit or no step times are known for it.
    """
    study = Study(config)
    run.write(names.STEP_TIMES, origin_of(study.spec))
    there = {point.concurrency: point for point in known.points(config, run)}

    def point_at(concurrency: int) -> Point:
        if concurrency in there:
            return there[concurrency]
        progress.time_left.begin_point(concurrency)
        run.set_aside(concurrency)
        prompts = batches.build_batch(config, concurrency)
        times, steady = settle(study, prompts, concurrency)
        played = steady.play(prompts, concurrency, record=True)
        table = played.requests()
        kept = last_of(table, concurrency, study.load) if times > 1 else table
        run.keep_table(concurrency, kept)
        interval = steady.interval(prompts, concurrency)
        point = replace(played.point(), predicted_interval=interval)
        point.notes.extend(notes_of(times, point.requests, kept.num_rows))
        point.notes.extend(batches.describe_repeats(config, prompts))
        run.add_point(point)
        progress.point_done(point)
        return point

    found = knee.walk(config.load, point_at)
    if found:
        run.write(names.KNEE, asdict(found))


def points(config: Config, concurrencies: Sequence[int], *, intervals: bool = True) -> list[Point]:
    """Statistics of the predicted points alone; without `intervals` in a third of the time."""
    study = Study(config)
    found = []
    for concurrency in concurrencies:
        prompts = batches.build_batch(config, concurrency)
        times, steady = settle(study, prompts, concurrency)
        interval = steady.interval(prompts, concurrency) if intervals else {}
        point = steady.play(prompts, concurrency).point()
        kept = arrivals.count_requests(concurrency, study.load)
        notes = notes_of(times, point.requests, kept)
        found.append(replace(point, predicted_interval=interval, notes=notes))
    return found


@dataclass(frozen=True)
class Played:
    """One point on a virtual clock."""

    outcome: Outcome
    concurrency: int
    topics: list[str]  # of the prompts that were sent, warm-up first
    load: Load
    routed: bool

    def point(self) -> Point:
        """Exact statistics, with the reasons not to believe them that a measured point has."""
        load, outcome = self.load, self.outcome
        if load.steady_state:  # what is cut off is known only when all requests are written out
            return measure(
                list(map(as_request, self.requests().to_pylist())), self.concurrency, load
            )
        point = outcome.point(self.concurrency, self.routed)
        spans_s = outcome.spans_s()
        in_flight, bin_s = window.in_flight(spans_s)
        from_s, _ = outcome.window_s()
        point = replace(
            point,
            little_ratio=little_ratio(point, load),
            window_from_s=from_s - spans_s[:, 0].min() if point.duration_s else MISSING,
        )
        return replace(
            point,
            invalid=doubts_of(point, load),
            goodput=outcome.goodput(load.ttft_at_most_s, load.tpot_at_most_s),
            in_flight=in_flight,
            in_flight_bin_s=bin_s,
        )

    def measured_ttft_s(self) -> NDArray[np.float64]:
        """Time to first token of the answered measured requests, in order of sending."""
        outcome = self.outcome
        answered = outcome.measured & ~outcome.failed
        send_ns, first_ns, _ = outcome.times[answered].T
        ttft_s: NDArray[np.float64] = (first_ns - send_ns) / NS_PER_S
        return ttft_s

    def requests(self) -> pa.Table:
        """A row for each request, with the columns of `request_table`. Needs a recorded point."""
        return list_requests(self.outcome, self.concurrency, self.routed, self.topics)


class Study:
    """A deployment on a virtual clock, the choice of its experts, and its load."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError when the deployment does not fit or no step times are known."""
        clock = config.clock
        self.load = config.load
        self.routed = config.deployment.routed
        self.delays = Delays(clock.gateway_s, clock.request_s, clock.reply_s)
        self.deployment: VirtualDeployment = deployment_of(config, self.delays)
        self.spec = spec_of(config)
        self.fail_s = {failure.expert: failure.at_s for failure in clock.failures}
        self.choose = chooser(config)

    def play(self, prompts: Sequence[Prompt], concurrency: int, record: bool = False) -> Played:
        """The point of so many users with `prompts`; with `record`, every request of it.

        Raises RequestError when a prompt can never be served.
        """
        load = self.load
        wanted = arrivals.count_requests(concurrency, load)
        closed = load.arrivals is Arrivals.closed_loop
        unmeasured = UNMEASURED_PER_USER * concurrency if closed else 0
        while True:
            sent = sent_prompts(prompts, concurrency, load, wanted, unmeasured)
            played = self.send(sent, concurrency, record or load.steady_state, unmeasured)
            if not played.outcome.counted.exhausted:
                return played
            if load.duration_s:
                wanted *= 2  # the loop's time was not over when its prompts were
            unmeasured *= 2

    @cached_property
    def extremes(self) -> "list[Study]":
        """The same study on the fastest and slowest engines that the correction allows."""
        return [self.on(spec) for spec in uncertainty.extremes(self.spec)]

    def longer(self, times: int) -> "Study":
        """The same study with so many times the warm-up and requests: of each user, and of all
        together where a least number decides."""
        other = copy(self)
        other.__dict__.pop("extremes", None)
        load = self.load
        other.load = replace(
            load,
            warmup_requests_per_user=load.warmup_requests_per_user * times,
            requests_per_user=load.requests_per_user * times,
            requests_at_least=load.requests_at_least * times,
        )
        return other

    def on(self, spec: EngineSpec) -> "Study":
        """The same study on other engines."""
        other = copy(self)
        other.spec = spec
        other.deployment = VirtualDeployment(spec, self.deployment.engines, self.deployment.delays)
        return other

    def interval(self, prompts: Sequence[Prompt], concurrency: int) -> dict[str, list[float]]:
        """The lowest and highest of each quantity on those engines, and what the model cannot
        explain around them."""
        found = [study.play(prompts, concurrency).point() for study in self.extremes]
        intervals = {}
        for name in QUANTITIES:
            values = [attrgetter(name)(point) for point in found]
            factor = uncertainty.factor_of(name, self.spec.precision)
            intervals[name] = [min(values) / factor, max(values) * factor]
        return intervals

    def send(
        self, sent: Sequence[Prompt], concurrency: int, record: bool, unmeasured: int = 0
    ) -> Played:
        """Play what is sent, in order, warm-up first; the last ones are `unmeasured`."""
        closed = self.load.arrivals is Arrivals.closed_loop
        warmup = arrivals.count_warmups(concurrency, self.load)
        follows = np.array([turn >= warmup and p.turn > 0 for turn, p in enumerate(sent)])
        begins = concurrency if closed else len(sent) - int(follows.sum())
        start_s = np.array(arrivals.send_times_s(self.load, concurrency, begins))
        each = self.load.warmup_requests_per_user
        think_s = np.full(len(sent), self.load.think_time_s)
        loop = self.deployment.loop(
            len(start_s),
            warmup_per_user=each if closed else min(each, 1),
            start_s=start_s,
            once=not closed,
            think_s=think_s if think_s.any() and (closed or follows.any()) else None,
            fail_s=self.fail_s,
            until_s=self.load.duration_s or math.inf,
            follows=follows if follows.any() else NO_FLAGS,
            unmeasured=unmeasured,
        )
        rows = self.deployment.prompts(
            np.array([prompt.input_tokens for prompt in sent]),
            np.array([prompt.output_tokens for prompt in sent]),
            self.choose(sent),
            *groups_of(sent),
        )
        outcome = self.deployment.play(rows, loop, warmup, record)
        topics = [prompt.topic for prompt in sent]
        return Played(outcome, concurrency, topics, self.load, self.routed)


def as_request(record: dict[str, Any]) -> Request:
    """A request from its row."""
    return Request(**{field.name: record[field.name] for field in fields(Request)})


def sent_prompts(
    prompts: Sequence[Prompt], concurrency: int, load: Load, wanted: int, unmeasured: int
) -> list[Prompt]:
    """What `er.load.plan.Plan` sends, in order: warm-up first, each user's own from the prompts'
    end backwards; then `wanted` prompts in their order, again when they run out; then `unmeasured`
    ones in the same order."""
    pool = arrivals.count_requests(concurrency, load)
    each, count = load.warmup_requests_per_user, arrivals.count_warmups(concurrency, load)
    places = [turn % concurrency * each + turn // concurrency for turn in range(count)]
    sent = [prompts[-1 - place % len(prompts)] for place in places]
    turns = chain(range(wanted), range(unmeasured))
    return sent + [prompts[turn % pool % len(prompts)] for turn in turns]


def chooser(config: Config) -> Choose:
    """Who chooses the experts: nobody without a gateway, the router that it would load, or a
    baseline."""
    experts, policy = config.deployment.experts, config.routing.policy
    if not config.deployment.routed:
        return lambda prompts: np.zeros(len(prompts), np.int64)
    file = inputs.router_of(config)
    if file:
        return classifier(file)

    if policy is Policy.least_loaded:
        return lambda prompts: np.full(len(prompts), LEAST_LOADED)

    def blindly(prompts: Sequence[Prompt]) -> Experts:
        choose = policies.baseline(policy, experts, config.seed, config.routing.shares)
        return np.array([choose("", ()) for _ in prompts])

    return blindly


@cache
def classifier(file: Path) -> Choose:
    """The trained router, which reads each text once."""
    trained = router.load(file)
    known: dict[str, int] = {}

    def choose(prompts: Sequence[Prompt]) -> Experts:
        for prompt in prompts:
            if prompt.text not in known:
                known[prompt.text] = trained.classify(prompt.text)
        return np.array([known[prompt.text] for prompt in prompts])

    return choose
