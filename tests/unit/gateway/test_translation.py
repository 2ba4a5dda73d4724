"""What a translation has no word for is refused, and what is no answer is no success."""

import json
from typing import Any

import pytest

from er.config import Policy
from er.gateway.dialects import openai, triton
from er.gateway.fast import openapi
from tests.unit.gateway.conftest import Start, event
from tests.unit.gateway.raw import END, HEAD, answering, chunk, post, say, status

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
GENERATE, STREAM = "/v2/models/ensemble/generate", "/v2/models/ensemble/generate_stream"
DONE = chunk(b"data: [DONE]\n\n") + END
CHAT_EVENT = b'{"choices": [{"index": 0, "delta": {"content": "one"}}]}'
NO_TRITON = {
    "OpenAI's completions": b'{"choices": [{"index": 0, "text": "one"}], "model": "m"}',
    "OpenAI's chat": CHAT_EVENT, "a text that is null": b'{"text_output": null}',
    "an empty object": b"{}", "a text that is a list": b'{"text_output": ["one"]}',
    "another output alone": b'{"model_name": "m", "sum": 5}',
}  # fmt: skip
NO_OPENAI = {
    "Triton's": b'{"text_output": "one", "model_name": "m"}', "a chat": CHAT_EVENT,
    "an empty object": b"{}", "usage alone": b'{"choices": [], "usage": {}}',
    "a text that is a number": b'{"choices": [{"text": 5}]}', "null": b'{"choices": null}',
}  # fmt: skip


def with_prompt(path: str, *, streams: bool = False, **fields: Any) -> bytes:
    """A request for a path."""
    prompts: dict[str, Any] = {
        CHAT: {"messages": [{"role": "user", "content": "court"}]}, COMPLETIONS: {"prompt": "court"}
    }  # fmt: skip
    body = prompts.get(path, {"text_input": "court"}) | {"max_tokens": 1, "stream": streams}
    return post(json.dumps(body | fields).encode(), path=path)


def parsed(answer: bytes) -> Any:
    """The JSON of an answer's body."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def refused(start: Start, expert: str, path: str, events: dict[str, bytes]) -> None:
    """No answer of these is passed on as a success, as a stream or whole."""
    own = answering(b"")
    async with own.serving() as url:
        url = url.replace("generate_stream", expert)
        gateway = await start(urls=[url], policy=Policy.random, breaker_failures=10**6)
        for name, value in events.items():
            for end in (END, DONE):
                own.answer = answering(HEAD + chunk(b"data: " + value + b"\n\n") + end).answer
                whole = "generate" if path == STREAM else path.rsplit("/", 1)[1]
                got = await say(gateway.port, with_prompt(path.replace("generate_stream", whole)))
                assert status(got) == 502, name
                assert b"expert 0 says: " in got, (name, got)
                got = await say(gateway.port, with_prompt(path, streams=True))
                assert status(got) == 200
                assert b"expert 0 says: " in got, (name, got)
                assert b"[DONE]" not in got


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_what_is_no_answer_of_tritons_is_an_error(start: Start, path: str) -> None:
    await refused(start, "generate_stream", path, NO_TRITON)


async def test_what_is_no_answer_of_completions_is_an_error(start: Start) -> None:
    await refused(start, "v1", STREAM, NO_OPENAI)


async def test_an_answer_of_tritons_without_tokens_is_one(start: Start) -> None:
    """The model may end at once; events of other outputs are passed over."""
    other = chunk(b'data: {"model_name": "m", "cum_log_probs": 0.5}\n\n')
    async with answering(HEAD + chunk(event("")) + other + END).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, with_prompt(COMPLETIONS))
        assert status(got) == 200
        assert parsed(got)["choices"][0]["text"] == ""


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    """A chat of two turns, the second with this part beside a text."""
    parts = [{"type": "text", "text": "court"}, part]
    turns = [{"role": "system", "content": "law"}, {"role": "user", "content": parts}]
    return {"messages": turns}


LOST: dict[str, tuple[str, dict[str, Any]]] = {
    "messages[1]: this expert takes text only, no image_url": (
        CHAT, with_part({"type": "image_url", "image_url": {"url": "data:,x"}})),
    "messages[1]: this expert takes text only, no input_audio": (
        CHAT, with_part({"type": "input_audio", "input_audio": {"data": "x"}})),
    "messages[1]: this expert takes text only, no part of an unknown type": (
        CHAT, with_part({"type": "Z" * 200, "x": "y" * 70_000})),
    "max_tokens: this expert gives 1 token or more, not 0": (COMPLETIONS, {"max_tokens": 0}),
    "max_tokens: this expert gives 1 token or more, not -1": (CHAT, {"max_tokens": -1}),
    "max_completion_tokens: this expert gives 1 token or more, not 0": (
        CHAT, {"max_completion_tokens": 0}),
    "n: this expert gives one answer to a prompt": (CHAT, {"n": 2}),
    "prompt: this expert takes one prompt in a request": (
        COMPLETIONS, {"prompt": ["court", "oven"]}),
}  # fmt: skip


async def test_a_path_takes_its_own_field_for_the_prompt(start: Start) -> None:
    """The other one is no prompt there: it neither decides nor reaches an expert of Triton's."""
    turn, expert = {"role": "user", "content": "court"}, answering(HEAD + chunk(event("one")) + END)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        for path, other in ((CHAT, {"prompt": "court"}), (COMPLETIONS, {"messages": [turn]})):
            got = await say(gateway.port, post(json.dumps(other).encode(), path=path))
            assert (status(got), b" is missing or empty" in got) == (400, True)
        both = json.dumps({"prompt": "oven", "messages": [turn]}).encode()
        for path, text in ((CHAT, "court"), (COMPLETIONS, "oven")):
            assert status(await say(gateway.port, post(both, path=path))) == 200
            sent = json.loads(expert.received[-1].partition(b"\r\n\r\n")[2])
            assert sent["text_input"] == text


@pytest.mark.parametrize("message", LOST)
async def test_triton_is_sent_no_part_for_the_whole(start: Start, message: str) -> None:
    path, fields = LOST[message]
    expert = answering(HEAD + chunk(event("one")) + END)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, with_prompt(path, **fields))
        assert (status(got), parsed(got)["error"]["message"]) == (400, message)
        assert not expert.received
        same = await start(urls=[url.replace("generate_stream", "v1")] * 2)
        assert status(await say(same.port, with_prompt(path, **fields))) == 200


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_model_without_a_name_has_that_of_the_list(
    start: Start, path: str, *, streams: bool
) -> None:
    async with answering(HEAD + chunk(event("one")) + END).serving() as url:
        gateway = await start(urls=[url, url])
        listed = json.loads((await gateway.get("/v1/models"))[1])["data"][0]["id"]
        got = await say(gateway.port, with_prompt(path, streams=streams))
        assert b'"model":"%b"' % listed.encode() in got
        named = await say(gateway.port, with_prompt(path, streams=streams, model="mine"))
        assert b'"model":"mine"' in named


async def test_an_expert_without_a_name_has_that_of_the_list(start: Start) -> None:
    answer = chunk(b'data: {"choices": [{"text": "one", "finish_reason": "stop"}]}\n\n') + DONE
    async with answering(HEAD + answer).serving() as url:
        gateway = await start(urls=[url.replace("generate_stream", "v1")] * 2)
        got = await say(gateway.port, with_prompt(GENERATE))
        assert parsed(got) == {
            "model_name": "ensemble", "model_version": "1", "text_output": "one",
        }  # fmt: skip


async def test_the_description_allows_what_is_accepted(start: Start) -> None:
    """Of everything that is read of a request; numbers of tokens by trying them."""
    generate = openapi.document()["paths"][STREAM]["post"]["requestBody"]["content"]
    read = generate["application/json"]["schema"]["properties"]
    assert set(read) == set(triton.Generate.__struct_fields__)
    request = openapi.document()["components"]["schemas"]["Request"]["properties"]
    assert set(request) == set(openai.Request.__struct_fields__)
    for described in (read["max_tokens"], request["max_tokens"]):
        assert not {"maximum", "exclusiveMaximum"} & set(json.dumps(described).split('"'))
    stream = HEAD + b"".join(chunk(event("one")) for _ in range(100)) + END
    async with answering(stream).serving() as url:
        gateway = await start(urls=[url, url])
        for path in (CHAT, COMPLETIONS, GENERATE, STREAM):
            for tokens in (1, 64, 65, 100, 10**6):
                got = await say(gateway.port, with_prompt(path, max_tokens=tokens))
                assert status(got) == 200
