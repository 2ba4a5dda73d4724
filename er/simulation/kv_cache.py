"""The blocks of one engine's KV cache: free, taken, and kept for prompts that begin alike."""

from dataclasses import dataclass

from er.simulation.sequence import ALONE, Sequence


@dataclass
class Chain:
    """The cached blocks of one group."""

    blocks: int = 0
    requests: int = 0  # that run


class KvCache:
    """Counts blocks. Those of each group that are kept form its chain; see `batching`."""

    def __init__(self, blocks: int, tokens_per_block: int, reuse: bool) -> None:
        self.tokens_per_block = tokens_per_block
        self.reuse = reuse
        self.free_blocks = blocks  # cached ones that nobody uses included
        self.chains: dict[int, Chain] = {}  # by group
        self.idle: dict[int, Chain] = {}  # those that nobody uses, in the order they were left
        self.idle_blocks = 0

    def reusable(self, sequence: Sequence, context: int) -> int:
        """How many of the leading blocks are cached; one token at least is left to prefill."""
        if not self.reuse or sequence.group not in self.chains:
            return 0
        shared = min(sequence.shared_tokens, context - 1) // self.tokens_per_block
        return min(self.chains[sequence.group].blocks, shared)

    def fits(self, sequence: Sequence, blocks: int, reused: int) -> bool:
        """Whether the blocks of a sequence are free, but for those it reuses: these count too when
        nobody uses them, since they then are free."""
        shared = 0 if sequence.group in self.idle else reused
        return blocks - shared <= self.free_blocks

    def begin(self, sequence: Sequence, blocks: int, reused: int) -> None:
        """Take the blocks with which a sequence starts. It begins its group's chain again where
        nobody else uses that."""
        sequence.blocks, sequence.chained = blocks, reused
        if self.reuse and sequence.group != ALONE:
            chain = self.chains.setdefault(sequence.group, Chain())
            if self.idle.pop(sequence.group, None):
                self.idle_blocks -= chain.blocks
                self.free_blocks -= reused
                chain.blocks = reused
            chain.requests += 1
        self.take(blocks - reused)

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

    def keep(self, sequence: Sequence) -> None:
        """Let others of its group find the whole blocks of a prompt."""
        if self.reuse and sequence.group != ALONE:
            chain = self.chains[sequence.group]
            more = sequence.input_tokens // self.tokens_per_block - chain.blocks
            if more > 0:
                chain.blocks += more
                sequence.chained += more

    def release(self, sequence: Sequence) -> None:
        """Free the blocks of a sequence. Those of its group's chain stay, free to be taken when
        nobody else uses them."""
        self.free_blocks += sequence.blocks - sequence.chained
        if self.reuse and sequence.group != ALONE:
            chain = self.chains[sequence.group]
            chain.requests -= 1
            if not chain.requests:
                self.free_blocks += chain.blocks
                self.idle_blocks += chain.blocks
                self.idle[sequence.group] = chain
                if not chain.blocks:
                    del self.idle[sequence.group], self.chains[sequence.group]
