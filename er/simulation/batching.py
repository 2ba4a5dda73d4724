"""In-flight batching as TensorRT-LLM does it, iteration by iteration, without a clock.

Policy GUARANTEED_NO_EVICT: a request is admitted, first come first served, when KV blocks for its
whole prompt and all its output can be reserved; so it always finishes. An iteration gives every
admitted request one token: prompts admitted for it are prefilled whole, all others decode.

    batch.add(...)                       when a request arrives
    iteration = batch.start()            None when there is nothing to do
    ... time passes, iteration.duration_ns ...
    batch.finish(iteration)
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from er.errors import ErError
from er.simulation.cost import StepCost
from er.simulation.memory import kv_blocks
from er.simulation.spec import EngineSpec


class RequestError(ErError):
    """A request that this engine can never serve."""


class Limits(NamedTuple):
    """What bounds a batch."""

    max_batch_size: int
    max_num_tokens: int  # of one iteration: prompts and one for each decoding request
    max_seq_len: int  # prompt and output of one request
    tokens_per_block: int
    kv_blocks: int


def limits_of(spec: EngineSpec) -> Limits:
    """The limits of an engine. Raises ConfigError when the model does not fit its GPUs."""
    engine = spec.engine
    return Limits(
        engine.max_batch_size,
        engine.max_num_tokens,
        engine.max_seq_len,
        engine.tokens_per_block,
        kv_blocks(spec),
    )


@dataclass
class Sequence:
    """One request inside the engine."""

    key: int
    input_tokens: int
    output_tokens: int
    blocks: int
    generated: int = 0

    @property
    def finished(self) -> bool:
        """Whether it has all its tokens."""
        return self.generated == self.output_tokens


@dataclass(frozen=True)
class Iteration:
    """One step: every sequence in it gets a token at its end."""

    duration_ns: int
    sequences: list[Sequence]
    prefill_tokens: int


class Batch:
    """The state of one engine: who waits, who runs, which KV blocks are free."""

    def __init__(self, cost: StepCost, limits: Limits) -> None:
        self.cost = cost
        self.limits = limits
        self.free_blocks = limits.kv_blocks
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}
        self.context = 0  # tokens in the KV cache of running sequences

    def add(self, key: int, input_tokens: int, output_tokens: int) -> None:
        """Queue a request. Raises RequestError when it could never run."""
        blocks = self.blocks_for(input_tokens, output_tokens)
        self.waiting.append(Sequence(key, input_tokens, output_tokens, blocks))

    def blocks_for(self, input_tokens: int, output_tokens: int) -> int:
        """KV blocks that a request reserves. Raises RequestError when it could never run."""
        limits = self.limits
        total = input_tokens + output_tokens
        blocks = -(-total // limits.tokens_per_block)
        if input_tokens < 1 or output_tokens < 1:
            raise RequestError(
                f"{input_tokens} input tokens and max_tokens {output_tokens}: both must be above 0"
            )
        if input_tokens > limits.max_num_tokens:
            raise RequestError(
                f"{input_tokens} input tokens exceed max_num_tokens {limits.max_num_tokens}: "
                "send a shorter prompt"
            )
        if total > limits.max_seq_len:
            raise RequestError(
                f"{input_tokens} input tokens and max_tokens {output_tokens} exceed max_seq_len "
                f"{limits.max_seq_len}: send a shorter prompt or ask for fewer tokens"
            )
        if blocks > limits.kv_blocks:
            raise RequestError(
                f"{total} tokens need {blocks} KV blocks, the engine has {limits.kv_blocks}: "
                "send a shorter prompt or ask for fewer tokens"
            )
        return blocks

    def start(self) -> Iteration | None:
        """Admit who fits and begin the next iteration; None when no request is here."""
        decoding, context = len(self.running), self.context
        prompts = self.admit()
        if prompts:
            duration_ns = self.cost.mixed(decoding, context, prompts)
        elif decoding:
            duration_ns = self.cost.decode(decoding, context)
        else:
            return None
        return Iteration(duration_ns, list(self.running.values()), sum(prompts))

    def admit(self) -> list[int]:
        """Move waiting sequences into the batch, in order, until one does not fit; returns the
        tokens of each prompt to prefill."""
        prompts: list[int] = []
        tokens = len(self.running)
        while self.waiting and len(self.running) < self.limits.max_batch_size:
            first = self.waiting[0]
            fits = tokens + first.input_tokens <= self.limits.max_num_tokens
            if not fits or first.blocks > self.free_blocks:
                break
            self.waiting.popleft()
            self.running[first.key] = first
            self.free_blocks -= first.blocks
            self.context += first.input_tokens
            tokens += first.input_tokens
            prompts.append(first.input_tokens)
        return prompts

    def finish(self, iteration: Iteration) -> list[Sequence]:
        """Give each sequence of the iteration its token; returns those that have all of theirs."""
        done = []
        for sequence in iteration.sequences:
            sequence.generated += 1
            self.context += 1
            if sequence.finished:
                self.release(sequence)
                done.append(sequence)
        return done

    def cancel(self, key: int) -> None:
        """Forget a request, waiting or running, between two iterations."""
        if key in self.running:
            self.release(self.running[key])
        else:
            self.waiting = deque(sequence for sequence in self.waiting if sequence.key != key)

    def release(self, sequence: Sequence) -> None:
        """Take a sequence out of the batch."""
        del self.running[sequence.key]
        self.free_blocks += sequence.blocks
        self.context -= sequence.input_tokens + sequence.generated
