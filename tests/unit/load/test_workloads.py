"""Every kind of workload has exact token counts, and its groups share what they declare."""

import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from er.config import (
    FixedWorkload,
    JsonlWorkload,
    MultiTurnWorkload,
    Range,
    SharedPrefixWorkload,
    UniformWorkload,
    Workload,
)
from er.errors import ErError
from er.load import prompts
from er.results.request import Prompt
from tests.unit.load import fakes
from tests.unit.load.test_prompts import TEXTS

pytestmark = pytest.mark.usefixtures("small_tokenizer")

FIXED = FixedWorkload("fixed", "", "", "small", input_tokens=50, output_tokens=7)
PREFIXED = SharedPrefixWorkload(
    "shared_prefix",
    "",
    "",
    "small",
    groups=3,
    prefix_tokens=40,
    suffix=Range(1, 30),
    output=Range(2, 9),
)
TALK = MultiTurnWorkload(
    "multi_turn",
    "",
    "",
    "small",
    turns=Range(1, 5),
    message=Range(1, 40),
    output=Range(2, 20),
    context_at_most=150,
)


def build(workload: Workload, count: int, **more: Any) -> list[Prompt]:
    return prompts.build(TEXTS, workload, count, 0, Path("unused"), **more)


def groups_of(sent: list[Prompt]) -> dict[int, list[Prompt]]:
    groups: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in sent:
        groups[prompt.group].append(prompt)
    return groups


def in_common(encoding: tiktoken.Encoding, first: Prompt, second: Prompt) -> int:
    both = zip(encoding.encode(first.text), encoding.encode(second.text), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))


@pytest.mark.parametrize("workload", [FIXED, PREFIXED, TALK], ids=lambda workload: workload.kind)
def test_every_prompt_has_exactly_its_tokens(
    workload: Workload, small_tokenizer: tiktoken.Encoding
) -> None:
    sent = build(workload, 300)
    assert len(sent) == 300
    for prompt in sent:
        assert len(small_tokenizer.encode_ordinary(prompt.text)) == prompt.input_tokens
    assert build(workload, 300) == sent


def test_fixed_and_uniform_lengths() -> None:
    assert {(p.input_tokens, p.output_tokens) for p in build(FIXED, 20)} == {(50, 7)}
    uniform = UniformWorkload("uniform", "", "", "small", Range(5, 8), Range(1, 1))
    sent = build(uniform, 40)
    assert [p.input_tokens for p in sent].count(5) == 10
    assert {(p.output_tokens, p.group, p.shared_tokens, p.turn) for p in sent} == {(1, -1, 0, 0)}


def test_a_group_shares_its_prefix_and_no_more_than_it_says(
    small_tokenizer: tiktoken.Encoding,
) -> None:
    sent = build(PREFIXED, 90)
    groups = groups_of(sent)
    assert {group: len(members) for group, members in groups.items()} == {0: 30, 1: 30, 2: 30}
    for first, *others in groups.values():
        assert first.shared_tokens == 0
        for other in others:
            # Where the suffix begins the last token of the prefix may be tokenised differently.
            assert 37 <= other.shared_tokens <= 40
            assert other.shared_tokens <= in_common(small_tokenizer, first, other)
    assert len({members[0].text[:20] for members in groups.values()}) == 3


def test_a_conversation_grows_turn_by_turn(small_tokenizer: tiktoken.Encoding) -> None:
    sent = build(TALK, 300)
    assert [group for group, _ in itertools.groupby(p.group for p in sent)] == list(groups_of(sent))
    for turns in groups_of(sent).values():
        assert [prompt.turn for prompt in turns] == list(range(len(turns)))
        assert len({prompt.topic for prompt in turns}) == 1
        for before, after in itertools.pairwise(turns):
            assert after.text.startswith(before.text)
            added = after.input_tokens - before.input_tokens - before.output_tokens
            assert 1 <= added <= 40
            assert after.shared_tokens == in_common(small_tokenizer, before, after)
            assert after.shared_tokens >= before.input_tokens - 3
            assert after.input_tokens + after.output_tokens <= 150
    lengths = [len(turns) for turns in groups_of(sent).values()]
    assert (min(lengths), max(lengths)) == (1, 5)


def test_a_conversation_ends_before_its_context_is_full() -> None:
    endless = replace(TALK, turns=Range(100, 100))
    conversations = list(groups_of(build(endless, 200)).values())
    assert len(conversations) > 10
    for turns in conversations:
        assert turns[-1].input_tokens + turns[-1].output_tokens <= 150


def of_file(path: Path) -> JsonlWorkload:
    return JsonlWorkload("jsonl", "", "", "small", str(path), output_tokens=9)


def test_prompts_of_a_file_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": " é?\\n", "max_tokens": 3, "label": "law"}\n{"text": "Two"}\n')
    first, second, again = build(of_file(path), 3)
    assert first == again == Prompt(" é?\n", "law", 5, 3)
    assert second == Prompt("Two", "", 3, 9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no prompts"),
        ('{"text": "a"}\n{"txt": "b"}', r"mine\.jsonl:2 has no prompt: give a string"),
        ('{"text": ""}', r"mine\.jsonl:1 has an empty text"),
        ('{"text": "a", "max_tokens": 0}', r"mine\.jsonl:1 has max_tokens 0"),
        ('{"text": "a", "max_tokens": "many"}', r"mine\.jsonl:1 has max_tokens many"),
    ],
)
def test_a_bad_line_of_prompts_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(ErError, match=message):
        build(of_file(path), 1)


def test_the_lengths_of_a_trace_rule() -> None:
    lengths = [(30, 4), (11, 2)]
    sent = build(FIXED, 3, lengths=lengths)
    assert [(p.input_tokens, p.output_tokens) for p in sent] == [(30, 4), (11, 2), (30, 4)]
    with pytest.raises(ErError, match="the trace has token counts, and so has workload"):
        build(TALK, 2, lengths=lengths)


def test_blocks_of_a_trace_are_the_same_text_wherever_they_come_again() -> None:
    lengths = [(50, 3), (50, 3), (41, 3), (16, 3), (70, 3), (33, 1)]
    numbers = [(1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 3), (1,), (7, 8), ()]
    sent = build(FIXED, 6, lengths=lengths, blocks=(16, numbers))
    assert [(p.input_tokens, p.output_tokens) for p in sent] == lengths
    encoding = prompts.TOKENIZERS["small"](Path("unused"))
    tokens = [encoding.encode_ordinary(prompt.text) for prompt in sent]
    assert [len(each) for each in tokens] == [count for count, _ in lengths]
    assert tokens[0][:30] == tokens[1][:30] == tokens[2][:30]
    assert tokens[0][34:48] != tokens[1][34:48]
    assert tokens[0][16:] != tokens[4][16:50]
    shared = [prompt.shared_tokens for prompt in sent]
    assert shared[0] == shared[4] == shared[5] == 0
    assert shared[1] >= 30
    assert shared[2] >= 38
    assert [prompt.group for prompt in sent] == [1, 1, 1, 1, 7, -1]


def test_the_same_blocks_and_length_are_the_same_prompt() -> None:
    first, second = build(FIXED, 2, lengths=[(48, 3)] * 2, blocks=(16, [(1, 2, 3)] * 2))
    assert first.text == second.text
    assert second.shared_tokens == 48


def test_turns_of_a_file_are_sent_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    talk = '{"session_id": "a", "turns": [{"text": "in the"}, "and then"]}\n'
    path.write_text(talk + '{"text": "alone"}\n')
    sent = build(of_file(path), 3)
    assert [(p.text, p.turn, p.group) for p in sent] == [
        ("in the", 0, 0),
        ("in the\n\nand then", 1, 0),
        ("alone", 0, -1),
    ]
    assert sent[1].shared_tokens == sent[0].input_tokens


def test_turns_with_delays_of_their_own_are_refused_with_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    turns = '[{"text": "in the"}, {"text": "and", "delay": 1000}, {"text": "then", "delay": 3000}]'
    path.write_text(f'{{"session_id": "a", "turns": {turns}}}\n')
    with pytest.raises(ErError, match=r"set load\.think_time_s=2, the mean, or remove the delays"):
        prompts.check(of_file(path), fakes.load(), tmp_path)
    prompts.check(of_file(path), fakes.load(think_time_s=2.0), tmp_path)
