"""Build the prompts of each kind of workload, with exact token counts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from er.config import (
    FixedWorkload,
    JsonlWorkload,
    Lengths,
    Load,
    LognormalWorkload,
    MultiTurnWorkload,
    Range,
    SharedPrefixWorkload,
    TableWorkload,
    UniformWorkload,
    Workload,
)
from er.corpus import tokenizer
from er.corpus.tokenizer import Encoding
from er.errors import ConfigError
from er.load import prompt_files
from er.load.arrivals import read_blocks, read_lengths
from er.load.blocks import Blocks, share_blocks
from er.load.cutting import JOIN, beginnings, cut, in_common, take
from er.load.lengths import draw
from er.results.request import Prompt

TOKENIZERS: dict[str, Callable[[Path], Encoding]] = {"llama3": tokenizer.llama3}

Texts = Sequence[tuple[str, str]]  # topic, text
Drawn = TableWorkload | FixedWorkload | UniformWorkload | LognormalWorkload


def build(
    texts: Texts,
    workload: Workload,
    count: int,
    seed: int,
    cache_dir: Path,
    lengths: Sequence[tuple[int, int]] | None = None,
    blocks: Blocks | None = None,
) -> list[Prompt]:
    """`count` prompts of `workload`; the same seed gives the same prompts.

    Except for those of a file, prompts are made of `texts` (topic, text): a prompt begins with one
    and continues with others of its topic until it is long enough; every text begins one prompt
    before any begins a second. `lengths` of a trace (input and output tokens) replace drawn ones;
    `blocks` are what its prompts share.

    Raises ConfigError without texts, for an unknown tokenizer, a missing file, or a workload that
    cannot have the lengths of a trace.
    """
    if lengths is not None and not isinstance(workload, Drawn):
        raise ConfigError(
            f"the trace has token counts, and so has workload {workload.name}: choose another "
            "workload, or remove the counts from the trace"
        )
    encoding = encoding_of(workload, cache_dir)
    generator = np.random.default_rng(seed)
    if lengths is not None and blocks is not None:
        prompts = share_blocks(lengths, blocks, beginnings(texts, encoding, generator), encoding)
    elif isinstance(workload, Drawn):
        prompts = _independent(workload, count, lengths, texts, encoding, generator)
    elif isinstance(workload, SharedPrefixWorkload):
        prompts = _sharing_a_prefix(workload, count, texts, encoding, generator)
    elif isinstance(workload, MultiTurnWorkload):
        prompts = _conversations(workload, count, texts, encoding, generator)
    else:
        assert isinstance(workload, JsonlWorkload)
        prompts = cycle(of_file(workload, encoding))
    built = list(islice(prompts, count))
    return (
        [replace(prompt, stop_at_eos=True) for prompt in built] if workload.stop_at_eos else built
    )


def check(workload: Workload, load: Load, cache_dir: Path) -> None:
    """Raise ConfigError for anything that would make `build` fail later, except the corpus.

    Also for delays of a file that users would not wait.
    """
    if isinstance(workload, JsonlWorkload) and not load.think_time_s:
        _require_no_delays(Path(workload.path))
    build([("", "Word.")], workload, 1, 0, cache_dir, read_lengths(load), read_blocks(load))


def _require_no_delays(path: Path) -> None:
    """Raise ConfigError for delays of single turns.

    All users wait equally long, as Little's law and predictions assume.
    """
    delays_s = [each.delay_s for each in prompt_files.texts(path) if each.turn]
    if any(delays_s):
        mean_s = sum(delays_s) / len(delays_s)
        raise ConfigError(
            f"{path} has a delay before each of {len(delays_s)} later turns, and users here all "
            f"wait equally long: set load.think_time_s={mean_s:.4g}, the mean, or remove the delays"
        )


def encoding_of(workload: Workload, cache_dir: Path) -> Encoding:
    """The tokenizer of a workload. Raises ConfigError when it is unknown."""
    if workload.tokenizer in TOKENIZERS:
        return TOKENIZERS[workload.tokenizer](cache_dir)
    if workload.tokenizer.endswith(".json"):
        return tokenizer.of_file(Path(workload.tokenizer))
    known = ", ".join(TOKENIZERS)
    raise ConfigError(
        f"workload.tokenizer is {workload.tokenizer}: choose one of {known}, "
        "or the file tokenizer.json of your model"
    )


def _independent(
    workload: Drawn,
    count: int,
    lengths: Sequence[tuple[int, int]] | None,
    texts: Texts,
    encoding: Encoding,
    generator: np.random.Generator,
) -> Iterator[Prompt]:
    """Prompts that share nothing."""
    if lengths is None:
        inputs, outputs = _distributions(workload)
        drawn = draw(inputs, count, generator), draw(outputs, count, generator)
        lengths = list(zip(*drawn, strict=True))
    openings = beginnings(texts, encoding, generator)
    for (input_tokens, output_tokens), (topic, pieces) in zip(
        cycle(lengths), openings, strict=False
    ):
        text = cut(take(pieces, input_tokens, encoding), input_tokens, encoding)
        yield Prompt(text, topic, input_tokens, output_tokens)


def _distributions(workload: Drawn) -> tuple[Lengths, Lengths]:
    """The distributions of input and output tokens."""
    if isinstance(workload, FixedWorkload):
        given = workload.input_tokens, workload.output_tokens
        return Range(given[0], given[0]), Range(given[1], given[1])
    return workload.input, workload.output


def _sharing_a_prefix(
    workload: SharedPrefixWorkload,
    count: int,
    texts: Texts,
    encoding: Encoding,
    generator: np.random.Generator,
) -> Iterator[Prompt]:
    """Prompts of all groups in random order, each with the prefix of its group.

    Shared tokens are counted in the whole prompt: a joint can change the tokens around it.
    """
    suffixes = draw(workload.suffix, count, generator)
    outputs = draw(workload.output, count, generator)
    groups = generator.permutation(np.arange(count) % workload.groups)
    openings = beginnings(texts, encoding, generator)
    prefixes = []
    for _, pieces in islice(openings, min(workload.groups, count)):
        tokens = take(pieces, workload.prefix_tokens, encoding)
        prefixes.append(cut(tokens, workload.prefix_tokens, encoding))
    counted = [encoding.encode_ordinary(prefix) for prefix in prefixes]
    joint = encoding.encode_ordinary(JOIN)
    seen: set[int] = set()
    for group, suffix, output_tokens in zip(map(int, groups), suffixes, outputs, strict=True):
        topic, pieces = next(openings)
        input_tokens = workload.prefix_tokens + suffix
        rest = joint + take(pieces, suffix, encoding)
        text = cut(rest, input_tokens, encoding, start=prefixes[group])
        shared = in_common(encoding.encode_ordinary(text), counted[group]) if group in seen else 0
        seen.add(group)
        yield Prompt(text, topic, input_tokens, output_tokens, group, shared)


def _conversations(
    workload: MultiTurnWorkload,
    count: int,
    texts: Texts,
    encoding: Encoding,
    generator: np.random.Generator,
) -> Iterator[Prompt]:
    """The turns of conversations, one conversation after the other, each about one topic.

    The answers inside a later prompt are text of the topic with as many tokens as were requested.
    """
    turns = draw(workload.turns, count, generator)
    messages = draw(workload.message, count, generator)
    outputs = draw(workload.output, count, generator)
    lengths = cycle(zip(messages, outputs, strict=True))
    openings = zip(cycle(turns), beginnings(texts, encoding, generator), strict=False)
    joint = encoding.encode_ordinary(JOIN)
    message_tokens, output_tokens = next(lengths)
    for conversation, (turns_at_most, (topic, pieces)) in enumerate(openings):
        text, before, context_tokens = "", list[int](), 0
        for turn in range(turns_at_most):
            input_tokens = context_tokens + message_tokens
            if turn and input_tokens + output_tokens > workload.context_at_most:
                break
            message = take(pieces, message_tokens, encoding)
            if turn:
                answer_tokens = context_tokens - len(before)
                answer = take(pieces, answer_tokens, encoding)[:answer_tokens]
                message = joint + answer + joint + message
            text = cut(message, input_tokens, encoding, start=text)
            tokens = encoding.encode_ordinary(text)
            shared = in_common(tokens, before)
            yield Prompt(text, topic, input_tokens, output_tokens, conversation, shared, turn)
            before, context_tokens = tokens, input_tokens + output_tokens
            message_tokens, output_tokens = next(lengths)


def of_file(workload: JsonlWorkload, encoding: Encoding) -> list[Prompt]:
    """The prompts of a file, unchanged. Raises ConfigError, naming the line, for a bad one."""
    prompts: list[Prompt] = []
    before: list[int] = []  # tokens of the prompt before
    recorded = sorted(prompt_files.texts(Path(workload.path)), key=lambda each: each.conversation)
    for each in recorded:
        max_tokens = each.length
        if max_tokens is None:
            max_tokens = len(encoding.encode_ordinary(each.answer)) or workload.output_tokens
        if not isinstance(max_tokens, int) or max_tokens < 1:
            raise ConfigError(
                f"{each.place} has max_tokens {max_tokens}: give a whole number from 1 on"
            )
        tokens = encoding.encode_ordinary(each.text)
        if not tokens:
            raise ConfigError(f"{each.place} has an empty text: remove the line")
        prompt = Prompt(each.text, each.label or "", len(tokens), max_tokens)
        if each.turn:
            group, shared = each.conversation, in_common(tokens, before)
            prompts[-1] = replace(prompts[-1], group=group)
            prompt = replace(prompt, group=group, shared_tokens=shared, turn=each.turn)
        prompts.append(prompt)
        before = tokens
    if not prompts:
        raise ConfigError(
            f'{workload.path} holds no prompts: give lines such as {{"text": "Why?"}}'
        )
    return prompts
