"""Events against tokens: the server's count, joined tokens, and reasoning tokens."""

import math
from dataclasses import replace

import pytest
import tiktoken

from er.config import FixedWorkload
from er.load import counts
from er.results.point import measure
from er.results.request import Request
from tests.unit.load.fakes import load

FORCED = FixedWorkload("fixed", "test", "", "small", 1, 4)
ANSWER = Request(
    *(1, 0, 0, False, "t", 1, 4, 0.0, [0.1, 0.2, 0.3, 0.4], 0.4, 200), text=" the the the the"
)


def doubts(request: Request, encoding: tiktoken.Encoding) -> list[str]:
    return counts.doubts([request, request], encoding, FORCED)


def test_a_server_that_counts_as_we_do_is_believed(small_tokenizer: tiktoken.Encoding) -> None:
    packed = replace(ANSWER, text=" the" * 12, usage_tokens=4)  # its tokens are not our tokenizer's
    assert doubts(packed, small_tokenizer) == []
    assert counts.evidence([packed], small_tokenizer) == {
        "tokens_per_event": 3,
        "usage_per_event": 1,
    }


@pytest.mark.parametrize(("usage", "ratio"), [(8, "2"), (3, "0.75"), (5, "1.25")])
def test_a_server_that_counts_otherwise_is_a_doubt(
    usage: int, ratio: str, small_tokenizer: tiktoken.Encoding
) -> None:
    [reason] = doubts(replace(ANSWER, usage_tokens=usage), small_tokenizer)
    assert reason.startswith(f"the server counts {ratio} tokens for each event")


def test_the_token_that_ends_an_answer_may_be_counted() -> None:
    ended = replace(ANSWER, max_tokens=9, usage_tokens=5)
    assert counts.usage_per_event([ended]) == 1
    assert counts.usage_per_event([replace(ended, usage_tokens=6)]) == 1.5
    assert math.isnan(counts.usage_per_event([ANSWER]))


def test_without_usage_the_tokenizer_counts(small_tokenizer: tiktoken.Encoding) -> None:
    assert doubts(ANSWER, small_tokenizer) == []
    [reason] = doubts(replace(ANSWER, text=" the" * 12), small_tokenizer)
    assert reason.startswith("an event holds 3.0 tokens by workload.tokenizer")


def test_answers_without_usage_are_checked_even_if_one_has_it(
    small_tokenizer: tiktoken.Encoding,
) -> None:
    honest, packed = replace(ANSWER, usage_tokens=4), replace(ANSWER, text=" the" * 8)
    [reason] = counts.doubts([honest, packed, packed], small_tokenizer, FORCED)
    assert reason.startswith("an event holds 2.0 tokens")


def test_answers_that_end_long_after_their_last_token_are_noted() -> None:
    assert counts.notes([replace(ANSWER, end_s=0.402)], 0.0) == []
    [note] = counts.notes([replace(ANSWER, end_s=0.7)], 0.0)
    assert note.startswith("answers ended 300 ms (p50) after their last token")


def test_tokens_that_are_written_together_are_blamed_on_the_server(
    small_tokenizer: tiktoken.Encoding,
) -> None:
    pairs = replace(ANSWER, token_times_s=[0.1, 0.1, 0.4, 0.4])
    share = counts.together_share([pairs])
    assert share == pytest.approx(2 / 3)
    [reason] = doubts(pairs, small_tokenizer)
    assert reason.startswith(
        "66.7% of the tokens came in one piece with the one before: the server"
    )
    assert counts.notes([pairs], share) == []
    few = replace(ANSWER, token_times_s=[0.1, 0.1, 0.3, 0.4])
    assert doubts(few, small_tokenizer) == []
    [note] = counts.notes([few], counts.together_share([few]))
    assert "33.3% of the tokens" in note
    assert "not of the model's steps" in note
    # A load generator that read late may have joined them itself.
    assert counts.notes([few], counts.together_share([few]), lagged=True) == []
    assert counts.doubts([pairs], small_tokenizer, FORCED, lagged=True) == []


def test_reasoning_is_counted_and_the_answer_timed_separately() -> None:
    thinking = replace(ANSWER, reasoning_tokens=3, first_answer_s=0.4)
    [note] = counts.notes([thinking], 0.0)
    assert note == (
        "1 answer with 3 tokens of reasoning or tool calls first on average, which TTFT and "
        "tokens/s count, the first of the answer after 0.4 s (p50); an event of it is taken for a "
        "token: the server gives no usage"
    )
    [note] = counts.notes([replace(thinking, usage_tokens=4)], 0.0)
    assert note.endswith("after 0.4 s (p50)")
    point = measure([thinking, replace(ANSWER, first_answer_s=0.1)], 1, load())
    assert point.reasoning_tokens_mean == 1.5
    assert point.ttft_s.p50 == pytest.approx(0.1)
    assert point.answer_ttft_s.p50 == pytest.approx(0.25)
