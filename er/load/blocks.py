"""Prompts that share their beginnings as those of a trace did, block by block."""

from collections.abc import Iterator, Sequence

from er.corpus.tokenizer import Encoding
from er.load.cutting import FILLER, JOIN, Pieces, cut, in_common, take
from er.results.request import Prompt

# The tokens of a block, and the numbers of each prompt's blocks. Traces number a block by all that
# precedes it, so prompts that share one share all before it.
Blocks = tuple[int, Sequence[Sequence[int]]]


def share_blocks(
    lengths: Sequence[tuple[int, int]],
    blocks: Blocks,
    openings: Iterator[tuple[str, Pieces]],
    encoding: Encoding,
) -> Iterator[Prompt]:
    """A prompt for each of `lengths` (input and output tokens), with exactly so many tokens.

    All blocks but a prompt's last are the same text wherever their number comes again; the last is
    cut to the prompt's length. A joint may take a token more or less, which the last makes up for.
    """
    block_tokens, numbers_of = blocks
    made: dict[int, tuple[str, list[int], str]] = {}  # of a block: topic, tokens, text
    seen: dict[int, list[int]] = {}  # of a block: the tokens of the prompt that had it last

    def block(number: int) -> tuple[str, list[int], str]:
        if number not in made:
            topic, pieces = next(openings)
            tokens = take(pieces, block_tokens, encoding)
            # A word at its end, so that what follows is cut into the same tokens.
            start = JOIN if block_tokens > 4 else ""
            text = cut(tokens, block_tokens - 1, encoding, start) + FILLER
            made[number] = topic, encoding.encode_ordinary(text), text
        return made[number]

    for (input_tokens, output_tokens), numbers in zip(lengths, numbers_of, strict=True):
        if not numbers:
            topic, pieces = next(openings)
            text = cut(take(pieces, input_tokens, encoding), input_tokens, encoding)
            yield Prompt(text, topic, input_tokens, output_tokens)
            continue
        whole = min((input_tokens - 1) // block_tokens, len(numbers))
        start = "".join(block(number)[2] for number in numbers[:whole])
        while whole and len(encoding.encode_ordinary(start)) >= input_tokens:
            whole -= 1
            start = "".join(block(number)[2] for number in numbers[:whole])
        own = block(numbers[whole])[1] if whole < len(numbers) else []
        wanted = input_tokens - len(encoding.encode_ordinary(start))
        if len(own) < wanted:  # the trace names fewer blocks than its tokens fill
            own = [*own, *take(next(openings)[1], wanted, encoding)]
        text = cut(own, input_tokens, encoding, start)
        tokens = encoding.encode_ordinary(text)
        before = next((seen[number] for number in reversed(numbers) if number in seen), [])
        for number in numbers:
            seen[number] = tokens
        shared = in_common(tokens, before)
        yield Prompt(text, block(numbers[0])[0], input_tokens, output_tokens, numbers[0], shared)
