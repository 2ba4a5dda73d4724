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

from er.simulation.cost import StepCost
from er.simulation.kv_cache import KvCache
from er.simulation.limits import Limits, RequestError
from er.simulation.sequence import ALONE, Sequence


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
        self.cache = KvCache(limits.kv_blocks, limits.tokens_per_block, limits.kv_cache_reuse)
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}  # in order of start; at most the last is in chunks
        self.context = 0  # tokens in the KV cache of sequences that decode

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
            if len(growing) <= self.cache.free_blocks:
                break
            last = next(reversed(self.running.values()))
            self.release(last)
            last.prefilled = last.context = last.blocks = last.chained = 0
            self.waiting.appendleft(last)
            paused = True
        for sequence in growing:
            sequence.blocks += 1
        self.cache.take(len(growing))
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
            reused = self.cache.reusable(sequence, context)
            blocks = self.total(sequence, context)
            size = self.chunk(context - reused * self.limits.tokens_per_block, room)
            full = len(self.running) >= self.limits.max_batch_size
            if full or not size or not self.cache.fits(sequence, blocks, reused):
                break
            self.waiting.popleft()
            self.running[sequence.key] = sequence
            sequence.context = context
            sequence.prefilled = reused * self.limits.tokens_per_block
            self.cache.begin(sequence, blocks, reused)
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

    def total(self, sequence: Sequence, context: int) -> int:
        """Blocks that a sequence takes at its start."""
        if self.limits.max_utilization:
            return self.blocks_of(context)
        return self.blocks_of(sequence.input_tokens + sequence.output_tokens)

    def finish(self, iteration: Iteration) -> list[Sequence]:
        """Give each sequence of the iteration its token; returns those that have all of theirs."""
        for sequence in iteration.prefilled:
            self.cache.keep(sequence)
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
        if sequence.decodes:
            self.context -= sequence.input_tokens + sequence.generated
        self.cache.release(sequence)
