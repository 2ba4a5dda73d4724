"""A whole deployment on a virtual clock: gateway, engines, and users in a closed or open loop."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from er.config import Config
from er.errors import ConfigError
from er.simulation import windows
from er.simulation.batching import Batch
from er.simulation.closed_loop import simulate
from er.simulation.cost import NS_PER_S, step_cost
from er.simulation.heaps import NEVER
from er.simulation.limits import limits_of
from er.simulation.outcome import Outcome
from er.simulation.spec import EngineSpec, spec_of
from er.simulation.tables import LEAST_LOADED, Prompts, tables_of
from er.simulation.users import NO_FLAGS, Flags, Loop

Ints = NDArray[np.int64]
Table = NDArray[np.int32]


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
    """Engines of one kind, ready to play prompts."""

    def __init__(self, spec: EngineSpec, engines: int, delays: Delays = NO_DELAYS) -> None:
        """Raises ConfigError when the model does not fit or nothing was measured for it."""
        self.engines = engines
        self.delays = delays
        self.host_request_s = spec.engine.correction.host_request_s
        self.limits = limits_of(spec)
        cost = step_cost(spec)
        self.batch = Batch(cost, self.limits)
        self.tables = tables_of(cost)

    def prompts(
        self,
        input_tokens: Ints,
        output_tokens: Ints,
        engine: Ints,
        group: Ints | None = None,
        shared_tokens: Ints | None = None,
    ) -> Table:
        """Prompts as the simulation takes them: a row for each, with the columns `Prompts`.

        `engine` may be LEAST_LOADED: it is chosen at the prompt's arrival. `group` and
        `shared_tokens` are those of `prefixes.groups_of`; without them nothing is reused. Raises
        RequestError when the engine could never serve one, ConfigError for an engine that does not
        exist.
        """
        total = input_tokens + output_tokens
        if len(total):  # whatever breaks a limit does so at an extreme
            extremes = (input_tokens.argmin(), output_tokens.argmin(), input_tokens.argmax())
            for p in (*extremes, total.argmax()):
                self.batch.blocks_for(int(input_tokens[p]), int(output_tokens[p]))
        if len(engine) and not LEAST_LOADED <= engine.min() <= engine.max() < self.engines:
            raise ConfigError(
                f"prompts go to engines {engine.min()} to {engine.max()}, there are {self.engines}"
            )
        rows = np.empty(
            (len(total), len(Prompts) if self.limits.kv_cache_reuse else Prompts.chain), np.int32
        )
        rows[:, Prompts.input], rows[:, Prompts.output] = input_tokens, output_tokens
        rows[:, Prompts.blocks] = -(-total // self.limits.tokens_per_block)
        rows[:, Prompts.engine] = engine
        if self.limits.kv_cache_reuse:
            rows[:, Prompts.chain], rows[:, Prompts.shared] = -1, 0
            if group is not None and shared_tokens is not None:
                rows[:, Prompts.chain] = chains_of(group, engine, self.engines)
                rows[:, Prompts.shared] = shared_tokens // self.limits.tokens_per_block
        return rows

    def loop(
        self,
        users: int,
        *,
        warmup_per_user: int = 0,
        start_s: NDArray[np.float64] | None = None,
        once: bool = False,
        think_s: NDArray[np.float64] | None = None,
        fail_s: dict[int, float] | None = None,
        until_s: float = math.inf,
        follows: Flags = NO_FLAGS,
        unmeasured: int = 0,
    ) -> Loop:
        """How so many users behave: all at once unless `start_s` says when each begins; `once`
        makes it an open loop; `think_s` passes after each request, in order of sending; `fail_s`
        says when engines fail, for good; from `until_s` on nobody sends, or what is not measured;
        `follows` says of each prompt whether it follows the one before it in a conversation; the
        last `unmeasured` prompts keep all users in flight until the last measured request ended.

        Raises ConfigError for a negative time or an engine that does not exist.
        """
        start = np.zeros(users, np.int64) if start_s is None else nanoseconds(np.sort(start_s))
        think = np.zeros(0, np.int64) if think_s is None else nanoseconds(think_s)
        fail = np.full(self.engines if fail_s else 0, NEVER)
        for engine, at_s in (fail_s or {}).items():
            if not 0 <= engine < self.engines:
                raise ConfigError(f"engine {engine} cannot fail: there are {self.engines}")
            fail[engine] = round(at_s * NS_PER_S)
        if (start < 0).any() or (think < 0).any() or (fail < 0).any():
            raise ConfigError("a start, think time or failure is negative: give 0 or more")
        gateway, request, reply = (
            round(delay * NS_PER_S)
            for delay in (
                self.delays.gateway_s,
                self.delays.request_s + self.host_request_s,
                self.delays.reply_s,
            )
        )
        until = NEVER if math.isinf(until_s) else round(until_s * NS_PER_S)
        return Loop(
            start,
            warmup_per_user,
            once,
            think,
            gateway,
            request,
            reply,
            fail,
            until,
            follows,
            unmeasured,
        )

    def play(self, prompts: Table, loop: Loop, warmup: int = 0, record: bool = False) -> Outcome:
        """Let every prompt be served, the first `warmup` of them without being measured; with
        `record`, the outcome has every step."""
        gaps = np.zeros_like(self.tables.until_ns)
        arguments = (self.tables, self.limits, prompts, warmup, loop, self.engines, gaps)
        if not record and windows.worthwhile(loop, prompts, self.engines, self.limits):
            sent, times, segments, pauses, counted = windows.simulate(*arguments)
        else:
            sent, times, segments, pauses, counted = simulate(*arguments, record)
        return Outcome(
            self.tables, prompts, warmup, loop, sent, times, segments, pauses, gaps, counted
        )


def deployment_of(config: Config, delays: Delays = NO_DELAYS) -> VirtualDeployment:
    """The deployment of a configuration."""
    engines = config.deployment.experts
    return VirtualDeployment(spec_of(config), engines, delays_of(config.deployment.routed, delays))


def delays_of(routed: bool, delays: Delays) -> Delays:
    """Without a gateway, as before a single engine, nothing is spent in one."""
    return delays if routed else replace(delays, gateway_s=0.0)


def chains_of(group: Ints, engine: Ints, engines: int) -> Ints:
    """A number for each group on each engine that it is sent to; where that is chosen at arrival,
    the first of as many numbers as there are engines."""
    _, rank = np.unique(group, return_inverse=True)
    if (engine == LEAST_LOADED).any():
        chain: Ints = rank * engines + np.maximum(engine, 0)
        return chain
    _, chain = np.unique(rank * engines + engine, return_inverse=True)
    return chain


def nanoseconds(seconds: NDArray[np.float64]) -> Ints:
    """Seconds as integer nanoseconds."""
    whole: Ints = np.rint(seconds * NS_PER_S).astype(np.int64)
    return whole
