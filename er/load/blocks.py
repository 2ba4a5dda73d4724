"""Make prompts that share their beginnings, block by block, as those of a trace did."""

from collections.abc import Iterator, Sequence

from er.corpus.tokenizer import Encoding
from er.load.cutting import FILLER, JOIN, Pieces, cut, in_common, take
from er.results.request import Prompt

# Tokens per block, and the numbers of each prompt's blocks. Traces number a block by everything
# before it, so prompts that share a block share everything before it.
JOIN_ABOVE_TOKENS = 4  # blocks with more tokens have room for a blank line at their start
Blocks = tuple[int, Sequence[Sequence[int]]]


def share_blocks(
    lengths: Sequence[tuple[int, int]],
    blocks: Blocks,
    openings: Iterator[tuple[str, Pieces]],
    encoding: Encoding,
) -> Iterator[Prompt]:
    """A prompt with exactly the input tokens of each of `lengths` (input and output tokens).

    A block has the same text wherever its number occurs, except as the last block of a prompt,
    which is cut to the prompt's length. A joint may change the number of tokens by one; the last
    block makes up for it.
    """
    block_tokens, numbers_of = blocks
    made: dict[int, tuple[str, list[int], str]] = {}  # of a block: topic, tokens, text
    seen: dict[int, list[int]] = {}  # of a block: the tokens of the prompt that had it last

    def block(number: int) -> tuple[str, list[int], str]:
        if number not in made:
            topic, pieces = next(openings)
            tokens = take(pieces, block_tokens, encoding)
            # It ends with a word of its own, so that the text after it is tokenised as before.
            start = JOIN if block_tokens > JOIN_ABOVE_TOKENS else ""
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
