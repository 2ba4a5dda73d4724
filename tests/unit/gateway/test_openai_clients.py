"""OpenAI's API in front, and experts that speak either dialect behind."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest

from tests.unit.gateway.conftest import Gateway, Start, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status

WORDS = ["Ja", "wohl", " é😀"]
TRITON = HEAD + b"".join(chunk(event(word)) for word in WORDS) + END
CUT = HEAD + chunk(event("Ja"))
USER = [{"role": "user", "content": "court contract"}]


def piece(word: str) -> bytes:
    """One event of OpenAI's completions."""
    return b"data: " + json.dumps({"choices": [{"index": 0, "text": word}]}).encode() + b"\n\n"


OPENAI = HEAD + b"".join(chunk(piece(word)) for word in WORDS) + chunk(b"data: [DONE]\n\n") + END


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client; a test sets its address."""
    async with openai.AsyncOpenAI(base_url="http://h", api_key="none", max_retries=0) as made:
        yield made


async def before_triton(start: Start, url: str, client: openai.AsyncOpenAI) -> Gateway:
    gateway = await start(urls=[url, url])
    client.base_url = f"http://127.0.0.1:{gateway.port}/v1"
    return gateway


async def test_the_official_client_streams_a_chat(start: Start, client: openai.AsyncOpenAI) -> None:
    expert = answering(TRITON)
    async with expert.serving() as url:
        await before_triton(start, url, client)
        stream = await client.chat.completions.create(
            model="er", messages=USER, max_tokens=3, stream=True, temperature=0.5, seed=7,
            stop="\n", stream_options={"include_usage": True},
        )  # type: ignore[call-overload]  # fmt: skip
        chunks = [chunk async for chunk in stream]
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert [text for text in texts if text] == WORDS
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 3
    assert len({c.id for c in chunks}) == 1
    received = json.loads(expert.received[0].partition(b"\r\n\r\n")[2])
    assert received == {
        "text_input": "court contract", "max_tokens": 3, "temperature": 0.5, "random_seed": 7,
        "stop_words": ["\n"], "stream": True,
    }  # fmt: skip


async def test_the_official_client_gets_a_whole_answer(
    start: Start, client: openai.AsyncOpenAI
) -> None:
    async with answering(TRITON).serving() as url:
        await before_triton(start, url, client)
        chat = await client.chat.completions.create(model="er", messages=USER, max_tokens=9)  # type: ignore[call-overload]
        assert chat.choices[0].message.content == "".join(WORDS)
        assert chat.choices[0].finish_reason == "stop"
        assert chat.usage.completion_tokens == 3
        text = await client.completions.create(model="er", prompt="court", max_tokens=3)
        assert text.choices[0].text == "".join(WORDS)
        assert [model.id async for model in client.models.list()] == ["ensemble"]


async def test_errors_are_the_official_clients(start: Start, client: openai.AsyncOpenAI) -> None:
    refusal = b'{"error": "too long"}'
    bad = b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n%b" % (len(refusal), refusal)
    async with answering(bad).serving() as url:
        await before_triton(start, url, client)
        with pytest.raises(openai.BadRequestError, match="too long"):
            await client.completions.create(model="er", prompt="court")
        with pytest.raises(openai.BadRequestError, match="messages"):
            await client.chat.completions.create(model="er", messages=[])
        with pytest.raises(openai.BadRequestError, match="one answer"):
            await client.completions.create(model="er", prompt="court", n=2)


async def test_death_in_a_stream_is_the_official_clients_error(
    start: Start, client: openai.AsyncOpenAI
) -> None:
    async with answering(CUT, goes_on=False).serving() as url:
        await before_triton(start, url, client)
        stream = await client.completions.create(model="er", prompt="court", stream=True)
        assert (await anext(stream)).choices[0].text == "Ja"
        with pytest.raises(openai.APIError, match="broke off"):
            await anext(stream)
        with pytest.raises(openai.InternalServerError, match="broke off"):
            await client.completions.create(model="er", prompt="court")


async def test_tritons_error_within_a_stream_is_reported(
    start: Start, client: openai.AsyncOpenAI
) -> None:
    full = HEAD + chunk(b'data: {"error": "out of KV cache"}\n\n') + END
    async with answering(full).serving() as url:
        await before_triton(start, url, client)
        with pytest.raises(openai.APIError, match="out of KV cache"):
            async for _ in await client.completions.create(model="er", prompt="a", stream=True):
                pass


@pytest.mark.parametrize("path", ["", "/chat/completions", "/completions"])
async def test_where_the_dialects_agree_bytes_pass_untouched(start: Start, path: str) -> None:
    expert = answering(OPENAI)
    async with expert.serving() as url:
        url = url.replace("/generate_stream", "/v1" + path)
        gateway = await start(urls=[url, url])
        for action in ("chat/completions", "completions"):
            body = json.dumps({"messages": USER, "prompt": "court", "model": "m"}).encode()
            got = await say(gateway.port, post(body, path=f"/v1/{action}"))
            assert got.endswith(OPENAI.removeprefix(HEAD))
            assert expert.received[-1].startswith(f"POST /v1/{action} HTTP/1.1\r\n".encode())
            assert expert.received[-1].endswith(body)


async def test_experts_of_both_kinds_stand_side_by_side(start: Start) -> None:
    triton, other = answering(TRITON), answering(OPENAI)
    async with triton.serving() as url, other.serving() as other_url:
        urls = [url, other_url.replace("/generate_stream", "/v1")]
        gateway = await start(urls=urls)
        for text in ("court contract", "oven butter"):
            async with gateway.ask(text) as response:  # a client of Triton's
                words = [json.loads(e[6:])["text_output"] async for e in response.content if e[6:]]
                assert words == WORDS
            body = json.dumps({"prompt": text, "stream": True}).encode()
            got = await say(gateway.port, post(body, path="/v1/completions"))
            assert got.count(b"data: ") >= 4
            assert b"data: [DONE]\n\n" in got
    assert triton.received
    assert other.received


async def test_the_experts_own_model_name_is_used(start: Start) -> None:
    expert = answering(OPENAI)
    async with expert.serving() as url:
        gateway = await start(urls=[url.replace("/generate_stream", "/v1")] * 2)
        assert gateway.server
        for replica in gateway.server.experts.replicas:
            replica.model = "llama"
        body = json.dumps({"model": "er", "prompt": "court", "logit_bias": {"5": 1.5}}).encode()
        await say(gateway.port, post(body, path="/v1/completions"))
    received = json.loads(expert.received[-1].partition(b"\r\n\r\n")[2])
    assert received == {"model": "llama", "prompt": "court", "logit_bias": {"5": 1.5}}


@pytest.mark.parametrize("size", [1, 2, 5, 64])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
async def test_translated_events_may_be_cut_anywhere(
    start: Start, size: int, newline: bytes
) -> None:
    events = b": ping\n\nid: 1\nevent: token\n" + event("Ja") + event("wohl")[:-2]
    whole = events.replace(b"\n", newline)

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD)
        for at in range(0, len(whole), size):
            writer.write(chunk(whole[at : at + size]))
        writer.write(END)
        return True

    async with RawExpert(answer).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post(b'{"prompt": "court"}', path="/v1/completions"))
    assert status(got) == 200
    assert json.loads(got.partition(b"\r\n\r\n")[2])["choices"][0]["text"] == "Jawohl"


async def test_a_deep_body_is_refused_in_every_dialect(start: Start) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for path, field in (("/v1/completions", b"prompt"), ("/v1/chat/completions", b"messages")):
        for body in (b'{"' + field + b'": ' + deep + b"}", b'{"x": ' + deep + b"}"):
            gateway = await start(urls=["http://127.0.0.1:1/v1", "http://127.0.0.1:1/generate"])
            got = await say(gateway.port, post(body, path=path))
            assert status(got) == 400
            assert b"invalid_request_error" in got
