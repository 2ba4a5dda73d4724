"""The administrator's port: who may use it, many commands at once, a router that is not read."""

import asyncio
import json
import mmap
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.gateway_peers import free_port
from er.config import Policy
from er.errors import ErError
from er.gateway.fast import routers
from er.routing.router import Router, save
from tests.standins.waiting import until
from tests.unit.gateway.conftest import Start, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status

ONE = HEAD + chunk(event("one")) + END
LIST = b"GET /admin/experts HTTP/1.1\r\nhost: h\r\n"


def command(name: str, *headers: str, **fields: object) -> bytes:
    return post(json.dumps(fields).encode(), *headers, path=f"/admin/{name}")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_a_browser_administer_nothing(start: Start, origin: str) -> None:
    admin = free_port()
    gateway = await start(urls=["http://h:1/v1", "http://i:1/v1"], admin_port=admin)
    header = f"origin: {origin}"
    refused = await say(admin, command("drain", header, expert=0))
    assert status(refused) == 403
    assert b"access-control" not in refused.lower()
    assert status(await say(admin, LIST + header.encode() + b"\r\n\r\n")) == 403
    preflight = b"OPTIONS /admin/drain HTTP/1.1\r\nhost: h\r\n" + header.encode() + b"\r\n\r\n"
    answer = await say(admin, preflight)
    assert status(answer) in (403, 405)
    assert b"access-control" not in answer.lower()
    assert gateway.server
    assert not any(replica.drained for replica in gateway.server.experts.replicas)
    assert status(await say(admin, command("drain", expert=0))) == 200
    assert [replica.drained for replica in gateway.server.experts.replicas] == [True, False]


async def test_drained_experts_are_called_drained(start: Start) -> None:
    expert, admin = answering(ONE), free_port()
    async with expert.serving() as url:
        gateway = await start(urls=[url, "http://127.0.0.1:1/v1"], admin_port=admin)
        for number, problem in ((0, "drained"), (1, "drained")):
            await say(admin, command("drain", expert=number))
            expert.received.clear()
            code, reported = await gateway.get("/ready")
            assert (code, json.loads(reported)["problems"][str(number)]) == (503, problem)
            assert not expert.received  # it may be stopped
        refused = await say(gateway.port, post())
        assert (status(refused), b"is drained" in refused) == (503, True)
        await say(admin, command("remove", expert=0))
        await say(admin, command("remove", expert=1))
        assert b"has no address" in await say(gateway.port, post())


async def test_what_an_administrator_does_wrong_is_no_error_of_clients(start: Start) -> None:
    admin = free_port()
    gateway = await start(urls=["http://h:1/v1", "http://i:1/v1"], admin_port=admin)
    wrong = (
        command("drain", "origin: http://evil.example", expert=0), command("nothing"),
        command("add", expert=2, url="http://j:1/v1"), command("drain", expert=7),
        command("drain"), command("restore", url="http://j:1/v1"), command("reload", expert=0),
        command("remove", expert=1, url="http://h:1/v1"),
        command("add", expert=0, url="http://j:1"), post(b"{", path="/admin/drain"),
        b"GET /nothing HTTP/1.1\r\nhost: h\r\n\r\n", b"NOT HTTP\r\n\r\n",
    )  # fmt: skip
    answers = [await say(admin, request) for request in wrong]
    assert all(400 <= status(answer) < 500 for answer in answers)
    for answer, says in zip(answers[2:], (
        b"expert is 2: give its number, 0 to 1", b"expert is 7: give its number, 0 to 1",
        b"expert is missing: give its number, 0 to 1", b"the gateway has no address http://j:1/v1",
        b"reload takes router, not expert", b"expert 1 has no address http://h:1/v1",
    ), strict=False):  # fmt: skip
        assert says in answer
    text = (await gateway.get("/metrics"))[1]
    counted = [line for line in text.splitlines() if line.startswith("er_gateway_errors_total")]
    assert counted
    assert all(line.endswith(" 0.0") for line in counted)


async def test_an_expert_that_is_added_gets_no_request_before_its_model_is_known(
    start: Start,
) -> None:
    admin = free_port()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        is_prompt = expert.received[-1].startswith(b"POST")
        if not is_prompt:
            await asyncio.sleep(0.2)
        body = b'{"choices": []}' if is_prompt else b'{"data": [{"id": "llama"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return is_prompt

    expert = RawExpert(answer)
    prompt = post(b'{"prompt": "court", "model": "ensemble"}', path="/v1/completions")
    async with expert.serving() as url:
        gateway = await start(
            urls=["http://127.0.0.1:1/v1"], admin_port=admin, policy=Policy.random
        )
        own = url.replace("/generate_stream", "/v1")
        adding = asyncio.ensure_future(say(admin, command("add", expert=0, url=own)))
        codes = set()
        while not adding.done():
            codes.add(status(await say(gateway.port, prompt)))
        assert status(await adding) == 200
        assert 503 in codes  # it got none at first
        assert status(await say(gateway.port, prompt)) == 200  # on one of the two
    prompts = [sent for sent in expert.received if sent.startswith(b"POST")]
    assert prompts
    assert all(b'"model":"llama"' in sent for sent in prompts)


async def test_twenty_administrators_at_once_leave_experts_that_answer(
    start: Start, router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routers, "IDLE_S", 0.2)  # other tests leave no core idle for ten seconds
    file, admin = tmp_path / "router.npz", free_port()
    save(router, file)
    one, other = answering(ONE), answering(ONE)
    async with one.serving() as url, other.serving() as other_url:
        gateway = await start(urls=[url, url], admin_port=admin)
        assert gateway.server
        gateway.server.router_file = str(file)

        async def administer(number: int) -> list[int]:
            steps = [
                command("add", expert=number % 2, url=other_url),
                command("drain", url=other_url),
                command("restore", url=other_url),
                command("remove", expert=number % 2, url=other_url),
                command("reload") if number == 0 else command("shadow"),
            ]
            return [status(await say(admin, step)) for step in steps]

        async def ask() -> list[int]:
            return [status(await say(gateway.port, post())) for _ in range(20)]

        found = await asyncio.gather(*(administer(number) for number in range(20)), *(ask(), ask()))
        assert {code for codes in found[20:] for code in codes} == {200}
        assert {code for codes in found[:20] for code in codes} <= {200, 400}
        assert all(codes[0] == 200 for codes in found[:20])
        reported = json.loads((await say(admin, LIST + b"\r\n")).partition(b"\r\n\r\n")[2])
        assert {expert["url"] for expert in reported["experts"]} == {url}
        assert all(expert["usable"] and not expert["in_flight"] for expert in reported["experts"])
        assert len(gateway.server.experts.replicas) == 4  # two came and went
        assert status(await say(gateway.port, post())) == 200


async def test_a_router_that_is_not_read_in_time_is_given_up(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(routers, "IDLE_S", 0.1)
    monkeypatch.setattr(routers, "LOAD_S", 0.3)
    gateway = await start(urls=["http://h:1/v1", "http://i:1/v1"], policy=Policy.random)
    assert gateway.server
    files = psutil.Process().num_fds()
    with pytest.raises(ErError, match=r"router\.npz is not read within 0\.3 s"):
        await routers.load(gateway.server, "router.npz")
    assert not [child for child in psutil.Process().children() if "sleep" in child.name()]
    assert psutil.Process().num_fds() == files


# Notes its scheduling, which it gets after it has been started, and reads a router the second time.
SLOW_PYTHON = """#!/bin/sh
if [ -e {stuck} ]; then is_set='nice | grep -qv ^0'; else is_set='chrt -p $$ | grep -q IDLE'; fi
for look in $(seq 600); do eval "$is_set" && break; sleep 0.02; done
chrt -p $$ | head -1 >> {policies}; nice >> {policies}
[ -e {stuck} ] || {{ touch {stuck}; exec sleep 60; }}
exec {python} "$@"
"""


async def test_a_router_that_is_not_read_while_the_core_is_idle_gets_a_share_of_it(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies, stuck = tmp_path / "policies", tmp_path / "stuck"
    slow = tmp_path / "python"
    slow.write_text(SLOW_PYTHON.format(policies=policies, stuck=stuck, python=sys.executable))
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    # The time for idle reading is over once the process has noted how it runs, however long a busy
    # machine makes that.
    clock = SimpleNamespace(sleep=time.sleep, monotonic=lambda: 1e6 if stuck.exists() else 0.0)
    monkeypatch.setattr(routers, "time", clock)
    gateway = await start(urls=["http://h:1/v1", "http://i:1/v1"], policy=Policy.random)
    assert gateway.server
    with pytest.raises(ErError, match="there is no router at"):
        await routers.load(gateway.server, str(tmp_path / "router.npz"))
    idle, _, other, niceness = policies.read_text().splitlines()
    assert idle.endswith("SCHED_IDLE")
    assert other.endswith("SCHED_OTHER")
    assert int(niceness) >= routers.NICENESS


@pytest.mark.parametrize(("ends", "says"), [("exit 1", "(1)"), ("kill -9 $$", "(-9)")])
async def test_a_process_that_dies_while_it_reads_a_router_is_named(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, says: str
) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nprintf "\\377\\377 half" > "$4"\n{ends}\n')
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    gateway = await start(urls=["http://h:1/v1"], policy=Policy.random)
    assert gateway.server
    with pytest.raises(ErError) as refused:
        await routers.load(gateway.server, "router.npz")
    assert str(refused.value).endswith(says)
    assert "half" not in str(refused.value)


async def test_a_router_is_given_back_by_a_thread(
    start: Start, router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routers, "IDLE_S", 0.2)  # other tests leave no core idle for ten seconds
    file, admin = tmp_path / "router.npz", free_port()
    save(router, file)
    gateway = await start(urls=["http://h:1/v1", "http://i:1/v1"], admin_port=admin)
    assert gateway.server
    gateway.server.router_file = str(file)
    freed_by: list[threading.Thread] = []
    commands: list[tuple[str, dict[str, str]]] = [
        ("reload", {}), ("shadow", {"router": str(file)}), ("shadow", {}),
    ]  # fmt: skip
    for name, fields in commands:
        before = gateway.server.chooser if name == "reload" else gateway.server.shadow
        if before:
            watch = weakref.ref(before, lambda _: freed_by.append(threading.current_thread()))
        del before
        assert status(await say(admin, command(name, **fields))) == 200
        assert not freed_by or watch() is None
    await until(lambda: len(freed_by) == 2)
    assert threading.main_thread() not in freed_by


def test_memory_is_given_back_in_steps_once_nobody_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths: list[int] = []
    closed = threading.Event()
    descriptor = os.memfd_create("router")
    truncate, close = os.ftruncate, os.close  # other threads use them meanwhile

    def note_length(file: int, length: int) -> None:
        lengths.append(length) if file == descriptor else truncate(file, length)

    monkeypatch.setattr(os, "ftruncate", note_length)
    monkeypatch.setattr(os, "close", lambda f: closed.set() if f == descriptor else close(f))
    os.pwrite(descriptor, b"x", 3 * routers.STEP_BYTES - 1)
    mapping = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    used = memoryview(mapping)
    routers.give_back_after(mapping, descriptor)
    del mapping
    assert not closed.wait(0.05)
    del used
    assert closed.wait(60)
    assert lengths == [number * routers.STEP_BYTES for number in (3, 2, 1)]
    monkeypatch.undo()
    os.close(descriptor)
