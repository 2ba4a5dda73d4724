"""A whole deployment on a virtual clock: gateway, engines, and users in a closed or open loop."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er.config import Config, Load
from er.errors import ConfigError
from er.points import Point
from er.results import Prompt, Request
from er.simulation.batching import Batch, limits_of
from er.simulation.closed_loop import Loop, Segments, Sent, Work, simulate, tables_of
from er.simulation.cost import NS_PER_S, step_cost
from er.simulation.outcome import Outcome
from er.simulation.spec import EngineSpec, spec_of

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Delays:
    """What lies between users and engines, in seconds."""

    gateway_s: float = 0.0  # the gateway's service time; it handles one request at a time
    request_s: float = 0.0  # on the way to the engine
    reply_s: float = 0.0  # on the way back, of every token

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}: a delay cannot be negative or endless")


NO_DELAYS = Delays()


class VirtualDeployment:
    """Engines of one kind, ready to be asked."""

    def __init__(self, spec: EngineSpec, engines: int, delays: Delays = NO_DELAYS) -> None:
        """Raises ConfigError when the model does not fit or nothing was measured for it."""
        self.engines = engines
        self.delays = delays
        self.limits = limits_of(spec)
        cost = step_cost(spec)
        self.batch = Batch(cost, self.limits)
        self.tables = tables_of(cost)

    def work(self, input_tokens: Ints, output_tokens: Ints, engine: Ints, warmup: int) -> Work:
        """Prompts as the simulation takes them; the first `warmup` are not measured.

        Raises RequestError when the engine could never serve one, ConfigError for an engine that
        does not exist.
        """
        pairs = np.stack([input_tokens, output_tokens], axis=1)
        for given_input, given_output in np.unique(pairs, axis=0):
            self.batch.blocks_for(int(given_input), int(given_output))
        if len(engine) and not 0 <= engine.min() <= engine.max() < self.engines:
            raise ConfigError(
                f"prompts go to engines {engine.min()} to {engine.max()}, there are {self.engines}"
            )
        blocks = -(-(input_tokens + output_tokens) // self.limits.tokens_per_block)
        return Work(input_tokens, output_tokens, blocks, engine, warmup)

    def loop(
        self,
        users: int,
        *,
        warmup_per_user: int = 0,
        start_s: NDArray[np.float64] | None = None,
        once: bool = False,
        think_s: NDArray[np.float64] | None = None,
    ) -> Loop:
        """How so many users behave: all at once unless `start_s` says when each begins; `once`
        makes it an open loop; `think_s` passes after each request, in order of sending."""
        start = np.zeros(users, np.int64) if start_s is None else nanoseconds(np.sort(start_s))
        think = np.zeros(0, np.int64) if think_s is None else nanoseconds(think_s)
        if (start < 0).any() or (think < 0).any():
            raise ConfigError("a start or a think time is negative: give 0 or more")
        gateway, request, reply = (
            round(delay * NS_PER_S)
            for delay in (self.delays.gateway_s, self.delays.request_s, self.delays.reply_s)
        )
        return Loop(start, warmup_per_user, once, think, gateway, request, reply)

    def play(self, work: Work, loop: Loop, record: bool = False) -> Outcome:
        """Let every request of `work` be served; with `record`, every step can be told."""
        gaps = np.zeros_like(self.tables.until_ns)
        sent, segments, kept = simulate(
            self.tables, self.limits, work, loop, self.engines, gaps, record
        )
        return Outcome(
            self.tables,
            work,
            loop,
            Sent(*(column[: int((sent.end_ns > 0).sum())] for column in sent)),
            Segments(*(column[:kept] for column in segments)),
            gaps,
        )


def deployment_of(config: Config, delays: Delays = NO_DELAYS) -> VirtualDeployment:
    """The deployment of a configuration. Without a gateway nothing is spent in one."""
    if not config.deployment.routed:
        delays = Delays(0.0, delays.request_s, delays.reply_s)
    return VirtualDeployment(spec_of(config), config.deployment.experts, delays)


def point_work(
    deployment: VirtualDeployment,
    prompts: Sequence[Prompt],
    experts: Sequence[int],
    users: int,
    load: Load,
) -> tuple[Work, list[str]]:
    """What the load generator would send at one concurrency, and the topics of it: warm-up from
    the prompts' end backwards, then the prompts in their order, again when they run out."""
    wanted = max(users * load.requests_per_user, load.requests_at_least)
    warmup = users * load.warmup_requests_per_user
    paired = list(zip(prompts, experts, strict=True))
    sent = [*itertools.islice(itertools.cycle(reversed(paired)), warmup)]
    sent += itertools.islice(itertools.cycle(paired), wanted)
    rows = np.array([(p.input_tokens, p.output_tokens, expert) for p, expert in sent], np.int64)
    input_tokens, output_tokens, engine = np.ascontiguousarray(rows.T)
    work = deployment.work(input_tokens, output_tokens, engine, warmup)
    return work, [prompt.topic for prompt, _ in sent]


def simulate_point(
    deployment: VirtualDeployment,
    prompts: Sequence[Prompt],
    experts: Sequence[int],
    users: int,
    load: Load,
) -> list[Request]:
    """The requests of `users` users on a virtual clock, as `load.users.run_point` would record
    them on a real one. `experts` is the router's choice for each prompt, 0 without a router.

    Raises RequestError when a prompt can never be served.
    """
    work, topics = point_work(deployment, prompts, experts, users, load)
    loop = deployment.loop(users, warmup_per_user=load.warmup_requests_per_user)
    outcome = deployment.play(work, loop, record=True)
    return outcome.requests(users, deployment.engines > 1, topics)


def predict_point(
    deployment: VirtualDeployment,
    prompts: Sequence[Prompt],
    experts: Sequence[int],
    users: int,
    load: Load,
) -> Point:
    """Statistics of the same point without writing out its tokens."""
    work, _ = point_work(deployment, prompts, experts, users, load)
    loop = deployment.loop(users, warmup_per_user=load.warmup_requests_per_user)
    return deployment.play(work, loop).point(users, deployment.engines > 1)


def nanoseconds(seconds: NDArray[np.float64]) -> Ints:
    """Seconds as integer nanoseconds."""
    whole: Ints = np.rint(seconds * NS_PER_S).astype(np.int64)
    return whole
