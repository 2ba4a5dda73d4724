"""In-flight batching as TensorRT-LLM does it, iteration by iteration, without a clock.

Requests are taken first come, first served. An iteration gives every decoding request one token;
with what they leave of max_num_tokens it prefills the prompts of those that join.

KV blocks (`engine.scheduler_policy`)
- guaranteed_no_evict: a request joins when blocks for its prompt and all its output can be
  reserved, so it always finishes.
- max_utilization: it joins when its prompt fits, and takes blocks as it grows. When the next
  tokens need more blocks than are free, the request that started last is paused: its blocks are
  freed, it waits at the head of the queue, and prompt and tokens so far are prefilled again.
  Nobody joins in an iteration that pauses somebody.

Chunks (`engine.chunked_context`): a prompt longer than what is left of max_num_tokens is prefilled
over several iterations, in multiples of tokens_per_block but for its end. It may then be longer
than max_num_tokens. The blocks of the whole prompt are taken with its first chunk.

Reuse (`engine.kv_cache_reuse`): whole blocks that an earlier prompt of the same group filled are
not prefilled again, and are shared while they are in use; at least one token always is prefilled.
When nobody uses them they stay until their space is needed, those left longest ago first.

Source: TensorRT-LLM, cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp (the policies),
microBatchScheduler.cpp (chunks, FIRST_COME_FIRST_SERVED) and kvCacheManager.cpp (blocks of one
step, reuse). It differs from this in that it
- fills what rounding a chunk down leaves, less than a block, with the start of later prompts;
- counts a whole prompt against max_num_tokens, and its whole need of blocks, where it is reused;
- keeps a tree of blocks where this keeps one chain for each group: the blocks of its prompts, the
  longest counting, none of which is given up while one of its requests runs; generated tokens,
  and prompts outside any group, are never found again, not even by a request that was paused;
- delays a prompt by an iteration when another that is being prefilled will let it reuse blocks.

    batch.add(...)                       when a request arrives
    iteration = batch.start()            None when there is nothing to do
    ... time passes, iteration.duration_ns ...
    batch.finish(iteration)
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from er.config import SchedulerPolicy
from er.errors import ErError
from er.simulation.cost import StepCost
from er.simulation.memory import kv_blocks
from er.simulation.spec import EngineSpec

ALONE = -1  # a prompt without a group


class RequestError(ErError):
    """A request that this engine can never serve."""


class Limits(NamedTuple):
    """What bounds a batch."""

    max_batch_size: int
    max_num_tokens: int  # of one iteration: prompts and one for each decoding request
    max_seq_len: int  # prompt and output of one request
    tokens_per_block: int
    kv_blocks: int
    chunked_context: bool = False
    max_utilization: bool = False
    kv_cache_reuse: bool = False


def limits_of(spec: EngineSpec) -> Limits:
    """The limits of an engine. Raises ConfigError when the model does not fit its GPUs."""
    engine = spec.engine
    return Limits(
        engine.max_batch_size,
        engine.max_num_tokens,
        engine.max_seq_len,
        engine.tokens_per_block,
        kv_blocks(spec),
        engine.chunked_context,
        engine.scheduler_policy is SchedulerPolicy.max_utilization,
        engine.kv_cache_reuse,
    )


@dataclass
class Sequence:
    """One request inside the engine."""

    key: int
    input_tokens: int
    output_tokens: int
    group: int = ALONE
    shared_tokens: int = 0  # leading ones that an earlier prompt of its group had
    generated: int = 0
    context: int = 0  # tokens to prefill: the prompt, and after a pause what was generated
    prefilled: int = 0  # of them
    blocks: int = 0  # of KV cache, those in its group's chain included
    chained: int = 0  # how many of its blocks lie in its group's chain

    @property
    def finished(self) -> bool:
        """Whether it has all its tokens."""
        return self.generated == self.output_tokens

    @property
    def decodes(self) -> bool:
        """Whether all its context is prefilled."""
        return self.prefilled == self.context


@dataclass
class Chain:
    """The cached blocks of one group."""

    blocks: int = 0
    requests: int = 0  # requests that run


@dataclass(frozen=True)
class Iteration:
    """One step: at its end every one of `sequences` gets a token."""

    duration_ns: int
    sequences: list[Sequence]
    prefill_tokens: int
    prefilled: list[Sequence]  # those of `sequences` whose prompts it completes


class Batch:
    """The state of one engine: who waits, who runs, which KV blocks are free."""

    def __init__(self, cost: StepCost, limits: Limits) -> None:
        self.cost = cost
        self.limits = limits
        self.free_blocks = limits.kv_blocks  # cached ones that nobody uses included
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}  # in order of start; at most the last is in chunks
        self.context = 0  # tokens in the KV cache of sequences that decode
        self.chains: dict[int, Chain] = {}  # by group
        self.idle: dict[int, Chain] = {}  # those that nobody uses, in the order they were left
        self.idle_blocks = 0

    def add(
        self,
        key: int,
        input_tokens: int,
        output_tokens: int,
        group: int = ALONE,
        shared_tokens: int = 0,
    ) -> None:
        """Queue a request. Raises RequestError when it could never run."""
        self.blocks_for(input_tokens, output_tokens)
        self.waiting.append(Sequence(key, input_tokens, output_tokens, group, shared_tokens))

    def blocks_for(self, input_tokens: int, output_tokens: int) -> int:
        """KV blocks of a prompt and all its output. Raises RequestError when it could never run."""
        limits = self.limits
        total = input_tokens + output_tokens
        blocks = self.blocks_of(total)
        if input_tokens < 1 or output_tokens < 1:
            raise RequestError(
                f"{input_tokens} input tokens and max_tokens {output_tokens}: both must be above 0"
            )
        if input_tokens > limits.max_num_tokens and not limits.chunked_context:
            raise RequestError(
                f"{input_tokens} input tokens exceed max_num_tokens {limits.max_num_tokens}: "
                "send a shorter prompt"
            )
        again = total - 1 if limits.max_utilization and not limits.chunked_context else 0
        if again > limits.max_num_tokens:
            raise RequestError(
                f"{input_tokens} input tokens and max_tokens {output_tokens} exceed max_num_tokens "
                f"{limits.max_num_tokens}: after a pause they could not be prefilled again: send a "
                "shorter prompt or ask for fewer tokens"
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

    def blocks_of(self, tokens: int) -> int:
        """Blocks that hold so many tokens."""
        return -(-tokens // self.limits.tokens_per_block)

    def start(self) -> Iteration | None:
        """Make room, admit who fits and begin the next iteration; None when no request is here."""
        paused = self.limits.max_utilization and self.make_room()
        decoding = [sequence for sequence in self.running.values() if sequence.decodes]
        context = self.context
        chunks: list[tuple[int, int]] = []
        if not (paused and decoding):
            chunks = self.prefill(len(decoding))
        prefilled = [
            sequence
            for sequence in list(self.running.values())[len(decoding) :]
            if sequence.decodes
        ]
        if chunks:
            duration_ns = self.cost.mixed(len(decoding), context, chunks)
        elif decoding:
            duration_ns = self.cost.decode(len(decoding), context)
        else:
            return None
        prefill_tokens = sum(after - before for before, after in chunks)
        return Iteration(duration_ns, decoding + prefilled, prefill_tokens, prefilled)

    def make_room(self) -> bool:
        """Take the blocks that the next tokens need, pausing the sequences that started last while
        they are not free; returns whether any was paused."""
        paused = False
        while True:
            growing = [s for s in self.running.values() if s.decodes and self.grows(s)]
            if len(growing) <= self.free_blocks:
                break
            last = next(reversed(self.running.values()))
            self.release(last)
            last.prefilled = last.context = last.blocks = last.chained = 0
            self.waiting.appendleft(last)
            paused = True
        for sequence in growing:
            sequence.blocks += 1
        self.take(len(growing))
        return paused

    def grows(self, sequence: Sequence) -> bool:
        """Whether the next token needs another block."""
        return self.blocks_of(sequence.input_tokens + sequence.generated) > sequence.blocks

    def prefill(self, decoding: int) -> list[tuple[int, int]]:
        """Go on with the prompt that is in chunks and admit waiting sequences, in order, until one
        does not fit; returns from where to where each context is prefilled."""
        chunks: list[tuple[int, int]] = []
        room = self.limits.max_num_tokens - decoding
        sequence = next(reversed(self.running.values()), None)
        if sequence and not sequence.decodes:
            size = self.chunk(sequence.context - sequence.prefilled, room)
            if size:
                chunks.append(self.advance(sequence, size))
                room -= size
        while self.waiting and (not sequence or sequence.decodes):
            sequence = self.waiting[0]
            context = sequence.input_tokens + sequence.generated
            reused = self.reusable(sequence, context)
            size = self.chunk(context - reused * self.limits.tokens_per_block, room)
            full = len(self.running) >= self.limits.max_batch_size
            if full or not size or self.needs(sequence, context, reused) > self.free_blocks:
                break
            self.waiting.popleft()
            self.begin(sequence, context, reused)
            chunks.append(self.advance(sequence, size))
            room -= size
        return chunks

    def chunk(self, left: int, room: int) -> int:
        """How many of `left` tokens are prefilled where there is room for `room`."""
        if left <= room:
            return left
        block = self.limits.tokens_per_block
        return room // block * block if self.limits.chunked_context else 0

    def advance(self, sequence: Sequence, size: int) -> tuple[int, int]:
        """Prefill so many more tokens of a sequence; returns from where to where."""
        before = sequence.prefilled
        sequence.prefilled += size
        if sequence.decodes:
            self.context += sequence.context
        return before, sequence.prefilled

    def reusable(self, sequence: Sequence, context: int) -> int:
        """How many of the leading blocks are cached; one token at least is left to prefill."""
        if not self.limits.kv_cache_reuse or sequence.group not in self.chains:
            return 0
        shared = min(sequence.shared_tokens, context - 1) // self.limits.tokens_per_block
        return min(self.chains[sequence.group].blocks, shared)

    def total(self, sequence: Sequence, context: int) -> int:
        """Blocks that a sequence takes at its start."""
        if self.limits.max_utilization:
            return self.blocks_of(context)
        return self.blocks_of(sequence.input_tokens + sequence.output_tokens)

    def needs(self, sequence: Sequence, context: int, reused: int) -> int:
        """Free blocks that it takes to start a sequence: those it reuses too when nobody uses them,
        since they then are free."""
        shared = 0 if sequence.group in self.idle else reused
        return self.total(sequence, context) - shared

    def begin(self, sequence: Sequence, context: int, reused: int) -> None:
        """Let a sequence join. It begins its group's chain again where nobody else uses that."""
        self.running[sequence.key] = sequence
        sequence.context = context
        sequence.prefilled = reused * self.limits.tokens_per_block
        sequence.blocks = self.total(sequence, context)
        sequence.chained = reused
        if self.limits.kv_cache_reuse and sequence.group != ALONE:
            chain = self.chains.setdefault(sequence.group, Chain())
            if self.idle.pop(sequence.group, None):
                self.idle_blocks -= chain.blocks
                self.free_blocks -= reused
                chain.blocks = reused
            chain.requests += 1
        self.take(sequence.blocks - reused)

    def take(self, blocks: int) -> None:
        """Take free blocks, cached ones last."""
        self.free_blocks -= blocks
        while self.idle_blocks > self.free_blocks:
            group, chain = next(iter(self.idle.items()))
            lost = min(chain.blocks, self.idle_blocks - self.free_blocks)
            chain.blocks -= lost
            self.idle_blocks -= lost
            if not chain.blocks:
                del self.idle[group], self.chains[group]

    def finish(self, iteration: Iteration) -> list[Sequence]:
        """Give each sequence of the iteration its token; returns those that have all of theirs."""
        for sequence in iteration.prefilled:
            self.keep(sequence)
        done = []
        for sequence in iteration.sequences:
            sequence.generated += 1
            self.context += 1
            if sequence.finished:
                self.release(sequence)
                done.append(sequence)
        return done

    def keep(self, sequence: Sequence) -> None:
        """Let others of its group find the whole blocks of a prompt."""
        if self.limits.kv_cache_reuse and sequence.group != ALONE:
            chain = self.chains[sequence.group]
            more = sequence.input_tokens // self.limits.tokens_per_block - chain.blocks
            if more > 0:
                chain.blocks += more
                sequence.chained += more

    def cancel(self, key: int) -> None:
        """Forget a request, waiting or running, between two iterations."""
        if key in self.running:
            self.release(self.running[key])
        else:
            self.waiting = deque(sequence for sequence in self.waiting if sequence.key != key)

    def release(self, sequence: Sequence) -> None:
        """Take a sequence out of the batch. The blocks of its group's chain stay, free to be taken
        when nobody else uses them."""
        del self.running[sequence.key]
        self.free_blocks += sequence.blocks - sequence.chained
        if sequence.decodes:
            self.context -= sequence.input_tokens + sequence.generated
        if self.limits.kv_cache_reuse and sequence.group != ALONE:
            chain = self.chains[sequence.group]
            chain.requests -= 1
            if not chain.requests:
                self.free_blocks += chain.blocks
                self.idle_blocks += chain.blocks
                self.idle[sequence.group] = chain
                if not chain.blocks:
                    del self.idle[sequence.group], self.chains[sequence.group]
