"""What operators rely on: logs that cannot be written, keys, readiness, administration, names."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from er.config import Policy
from er.config.gateway import require_address
from er.errors import ConfigError, ErError
from er.gateway import descriptors, keys
from er.gateway.counts import REPLICAS_AT_MOST
from er.gateway.fast import upkeep
from er.gateway.plan import Plan
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, Start, event, settings
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status

ONE = HEAD + chunk(event("one")) + END


async def started(
    folder: Path, url: str, stdout: int, **changes: object
) -> "asyncio.subprocess.Process":
    """A gateway whose standard output goes there, once it listens."""
    port_file = folder / "port"
    changed = settings(access_log=True, **changes)
    plan = Plan(changed, [[url]], Policy.random, port_file=str(port_file))
    plan.write(folder / "plan.json")
    command = (sys.executable, "-m", "er.gateway.process", str(folder / "plan.json"))
    process = await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=subprocess.PIPE)
    await until(lambda: port_file.exists() and bool(port_file.read_text()))
    return process


@pytest.mark.parametrize("how", ["nobody reads", "closed"])
async def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, how: str) -> None:
    read_end, write_end = os.pipe()
    async with answering(ONE).serving() as url:
        process = await started(tmp_path, url, write_end, timeouts={"header_s": 1.5})
        if how == "closed":
            os.close(read_end)
        port = int((tmp_path / "port").read_text())
        path = "/v1/completions?" + "x" * 8000  # a pipe takes 64 KB
        for _ in range(3):
            for _ in range(20):
                prompt = b'{"prompt": "court", "stream": true}'
                assert status(await say(port, post(prompt, path=path))) in (200, 502)
            await asyncio.sleep(0.3)
        assert status(await say(port, post()[:30])) == 408  # time limits hold
        text = (await say(port, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")).decode()
        [lost] = [line for line in text.splitlines() if 'event="log_lines_lost"' in line]
        assert (float(lost.split()[-1]) > 0) is (how == "closed")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert process.stderr
        assert b"Traceback" not in await process.stderr.read()
    if how != "closed":
        os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("content", [b"", b"# none\n\n", b"\xff\xfe:secret-secret\n", b"ann\n"])
def test_a_keys_file_without_keys_opens_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(ErError):
        keys.read(str(file))


def test_an_empty_variable_of_keys_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.VARIABLE, ",")
    with pytest.raises(ErError, match="has no API keys"):
        keys.read("")
    monkeypatch.delenv(keys.VARIABLE)
    assert not keys.read("")


def test_a_name_may_have_two_keys_while_one_replaces_the_other(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("ann:old-old-old\nann:new-new-new\n")
    known = keys.read(str(file))
    assert [known.name_of(b"", key) for key in (b"old-old-old", b"new-new-new")] == ["ann", "ann"]


async def test_experts_are_asked_once_for_all_who_look(start: Start) -> None:
    expert = answering(ONE)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        found = await asyncio.gather(*(gateway.get("/ready") for _ in range(50)))
        assert {code for code, _ in found} == {200}
        asked = len(expert.received)
        assert asked < 20  # of 100
        await gateway.get("/ready")
        assert len(expert.received) == asked + 2  # a new look: an expert may have died since


async def test_several_prompts_at_once_are_not_made_one(start: Start) -> None:
    expert = answering(ONE)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        body = b'{"prompt": ["court", "oven"], "model": "m"}'
        assert status(await say(gateway.port, post(body, path="/v1/completions"))) == 400
        openai = await start(urls=[url.replace("/generate_stream", "/v1")] * 2)
        await say(openai.port, post(body, path="/v1/completions"))
        sent = [got.partition(b"\r\n\r\n")[2] for got in expert.received if b"POST" in got]
        assert json.loads(sent[-1])["prompt"] == ["court", "oven"]


@pytest.mark.parametrize("address", [
    "http://a..b/v1", f"http://{'a' * 64}.b/v1", "http://h/v1\0", "http://h/v1\r\nx: y",
    "http://.h/v1", "http://h/v 1",
])  # fmt: skip
def test_what_cannot_be_looked_up_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError):
        require_address(address, "gateway.experts")


def test_more_addresses_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ConfigError, match="256 at most"):
        Plan(settings(), [["http://h/v1"] * (REPLICAS_AT_MOST + 1)], Policy.random)


async def test_experts_come_and_go_without_end_only_where_they_are_the_same(start: Start) -> None:
    gateway = await start(urls=["http://h:1/v1"])
    assert gateway.server
    experts = gateway.server.experts
    for _ in range(2 * REPLICAS_AT_MOST):
        experts.add_replica(0, "http://i:1/v1").remove()
    assert len(experts.replicas) == 2
    for number in range(REPLICAS_AT_MOST - 2):
        experts.add_replica(0, f"http://j{number}:1/v1")
    with pytest.raises(ErError, match="256 addresses"):
        experts.add_replica(0, "http://k:1/v1")


async def test_idle_clients_leave_descriptors_for_experts(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "clients_at_most", lambda: 3)
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        held = [await asyncio.open_connection(HOST, gateway.port) for _ in range(2)]
        assert status(await say(gateway.port, post())) == 200
        held.append(await asyncio.open_connection(HOST, gateway.port))
        await asyncio.sleep(0.05)
        assert status(await say(gateway.port, post())) == 503
        for _, writer in held:
            writer.close()


async def test_a_model_that_is_named_later_is_found(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "DISCOVER_EVERY_S", 0.1)
    known = False

    async def answer(writer: asyncio.StreamWriter) -> bool:
        body = b'{"data": [{"id": "llama"}]}' if known else b"{}"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return False

    expert = RawExpert(answer)
    async with expert.serving() as url:
        gateway = await start(urls=[url.replace("/generate_stream", "/v1")], policy=Policy.random)
        assert gateway.server
        [replica] = gateway.server.experts.replicas
        await asyncio.sleep(0.3)
        before = replica.model
        known = True
        await until(lambda: bool(replica.model))
        assert (before, replica.model) == ("", "llama")
