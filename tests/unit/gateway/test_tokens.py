"""The limit on a prompt's tokens: counted where a text could have too many, and only there."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from er.config.gateway import GatewayLimits
from er.corpus import tokenizer
from er.gateway import tokens
from er.gateway.tokens import SLICE_CHARACTERS, TokenLimit
from tests.unit.gateway.conftest import Start, event, settings
from tests.unit.gateway.raw import END, HEAD, answering, chunk, post, say, status
from tests.unit.gateway.test_gateway_policies import metric

ONE = HEAD + chunk(event("one")) + END


def word_tokenizer(folder: Path) -> Path:
    """The file of a tokenizer for which every word is a token."""
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "court": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One of these."""
    return word_tokenizer(tmp_path)


def limited(file: Path, at_most: int) -> GatewayLimits:
    return settings(limits={"prompt_tokens": at_most, "tokenizer": str(file)}).limits


async def test_words_are_counted_to_the_last_one(file: Path) -> None:
    chance = random.Random(1)
    for words in (1, 2, 30, 5000, 20_000):
        text = " ".join("court é" if chance.random() < 0.1 else "plaintiff" for _ in range(words))
        count = len(text.split())
        for at_most, right in ((count, True), (count - 1, count == 1), (count + 5, True)):
            limit = tokens.limit(limited(file, max(1, at_most)))
            assert limit
            assert await limit.holds(text) is right


def test_slices_are_the_text() -> None:
    for text in ("", "a", "a" * 100, "a b " * 99, "éè " * 50 + "x" * 300):
        pieces = list(tokens.slices(text, 20))
        assert "".join(pieces) == text
        assert all(0 < len(piece) <= 20 for piece in pieces)


class Counting:
    """An encoding that knows what it was given."""

    def __init__(self) -> None:
        self.characters = 0

    def encode_ordinary_batch(self, text: list[str]) -> list[list[int]]:
        self.characters += len(text[0])
        return [[0] * len(text[0].encode())]


async def test_no_more_is_counted_than_is_needed() -> None:
    counting: Any = Counting()
    limit = TokenLimit(1000, counting)
    for text in ("", "a" * 1000, "é" * 500, "漢" * 333, "🐙" * 250):
        assert await limit.holds(text)
    assert not counting.characters
    for text in ("a" * 1001, "é" * 501, "漢" * 334, "🐙" * 251):
        assert not await limit.holds(text)
    counting.characters = 0
    assert not await limit.holds("a" * 4_000_000)
    assert counting.characters == SLICE_CHARACTERS


@pytest.mark.parametrize("words", [10, 2000, 100_000])
@pytest.mark.parametrize("path", ["/v2/models/ensemble/generate_stream", "/v1/chat/completions"])
async def test_a_prompt_of_too_many_tokens_is_413(
    start: Start, file: Path, words: int, path: str
) -> None:
    expert = answering(ONE)
    text = "court " * words
    fields = {"text_input": text} if "v2" in path else {
        "messages": [{"role": "user", "content": text}], "stream": True,
    }  # fmt: skip
    request = post(json.dumps(fields).encode(), path=path)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        assert gateway.server
        gateway.server.token_limit = TokenLimit(words, tokenizer.of_file(file))
        assert status(await say(gateway.port, request)) == 200
        expert.received.clear()
        gateway.server.token_limit = TokenLimit(words - 1, tokenizer.of_file(file))
        refused = await say(gateway.port, request)
        assert status(refused) == 413
        assert f"{words - 1} tokens at most".encode() in refused
        assert not expert.received
        assert await metric(gateway, 'er_gateway_errors_total{cause="too_large"}') == 1
        assert not gateway.server._reserved
