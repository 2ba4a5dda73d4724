"""Keys come from the environment and stay there."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from er.load import credentials, http
from er.results.request import Endpoint
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event, one, prompt

CHAT = Endpoint("http://h:1/v1/chat/completions", "m")
TRITON = Endpoint("http://h:1/v2/models/m/generate_stream", "m")


def test_a_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert credentials.headers(CHAT) == credentials.headers(TRITON) == {}
    assert b"authorization" not in http.encode_request(CHAT, prompt())
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert credentials.headers(CHAT) == {"authorization": "Bearer k"}
    assert credentials.headers(TRITON) == {}
    monkeypatch.setenv("ER_API_KEY", "mine")
    assert credentials.headers(TRITON) == {"authorization": "Bearer mine"}
    assert b"authorization: Bearer mine\r\n" in http.encode_request(CHAT, prompt())


@pytest.mark.usefixtures("client")
def test_both_clients_send_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ER_API_KEY", "mine")

    async def answer(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(event("t ")) * 3 + LAST_CHUNK)

    server = serve(answer)
    assert one(replace(server.endpoint)).ok
    assert any(b"bearer mine" in head.lower() for head in server.heads)
