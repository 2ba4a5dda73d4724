"""Pairs of requests through the gateway and straight to the chosen expert."""

import asyncio
from typing import Any

from er.load.probe import probe_pairs
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event, load, prompt


def answering(name: str, log: list[str], head: bytes = HEAD) -> Any:
    async def answer(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        log.append(name)
        assert body["max_tokens"] == 1
        writer.write(head + chunk(event(name)) + LAST_CHUNK)

    return answer


def test_pairs_alternate_and_go_to_the_chosen_expert(serve: Serve) -> None:
    log: list[str] = []
    gateway = serve(answering("gateway", log)).endpoint
    experts = [serve(answering(f"expert {index}", log)).endpoint for index in range(4)]
    pairs = probe_pairs(gateway, experts, [prompt("a"), prompt("b")], 4, load())
    first, second = ["gateway", "expert 3"], ["gateway", "expert 3", "gateway"]
    assert log == first + second + first + second
    assert [(through.text, direct.text) for through, direct in pairs] == [
        ("gateway", "expert 3")
    ] * 4
    assert all(through.ok and direct.ok for through, direct in pairs)
    assert [through.index for through, _ in pairs] == [0, 1, 2, 3]


def test_a_gateway_that_names_no_expert_is_an_error_of_the_pair(serve: Serve) -> None:
    log: list[str] = []
    head = HEAD.replace(b"x-er-expert: 3\r\n", b"")
    gateway = serve(answering("gateway", log, head)).endpoint
    ((through, direct),) = probe_pairs(gateway, [gateway], [prompt()], 1, load())
    assert through.ok
    assert direct.error == "the gateway named no expert"
