"""Large bodies, taken apart and put together again."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from er.gateway.fast import large_body
from er.gateway.fast.refusal import Refusal

LETTERS = st.sampled_from(
    [*'ab"\\/\n\t\0 é€', "😀", "\\\\", "\\u00e9", "\\ud83d\\ude00", "x" * 130]
)
TEXTS = st.lists(LETTERS, max_size=60).map("".join)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.booleans(), st.integers(12, 40))
def test_each_piece_of_a_text_can_be_decoded(text: str, ascii_only: bool, step_bytes: int) -> None:
    written = json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1]
    pieces = list(large_body.cut(written, step_bytes))
    assert b"".join(pieces) == written
    assert "".join(json.loads(b'"%b"' % piece) for piece in pieces) == text
    assert all(len(piece) <= step_bytes for piece in pieces)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.booleans())
def test_a_body_is_whole_again(fields: dict[str, object], ascii_only: bool) -> None:
    body = json.dumps(fields, ensure_ascii=ascii_only).encode()

    async def check() -> None:
        taken = await large_body.take_apart(body)
        assert taken.restore(taken.outline) == body
        outline = json.loads(taken.outline)
        assert len(outline) == len(fields)
        for (key, value), (name, right) in zip(outline.items(), fields.items(), strict=True):
            assert await taken.decode(key) == name
            if isinstance(right, str):
                assert await taken.decode(value) == right

    asyncio.run(check())


@pytest.mark.parametrize("text", ["\\ud800", "\\x", "\\u12", "\xff", "\n", "\\ud83d\\u0041"])
async def test_a_broken_text_is_found(text: str) -> None:
    long = (text + "x" * 200).encode("latin-1")
    taken = await large_body.take_apart(b'{"prompt": "%b"}' % long)
    with pytest.raises(ValueError, match="not JSON"):
        await taken.decode(json.loads(taken.outline)["prompt"])


@pytest.mark.parametrize(("body", "status"), [
    (b'{"a": [' + b"1," * 9000 + b"1]}", 400),
    (b'{"a": [' + b"[]," * 9000 + b"1]}", 400),
    (b'{"a": ' + b" " * 300_000 + b"1}", 400),
    (b'{"a": "b\\', 400),
])  # fmt: skip
async def test_what_would_take_long_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        await large_body.take_apart(body)
    assert refused.value.status == status


async def test_commas_and_brackets_within_a_text_are_no_values() -> None:
    body = json.dumps({"prompt": 'if (a[0], {"b": 1})\n' * 50_000}).encode()
    taken = await large_body.take_apart(body)
    assert len(taken.outline) < 200
    assert await taken.decode(json.loads(taken.outline)["prompt"]) == json.loads(body)["prompt"]
