"""Several processes as one gateway: how they start, end, and stay alike."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmarks.gateway_peers import free_port, wait_for
from er import config
from er.gateway import counts as slots
from er.gateway.counts import Counts
from er.gateway.fast.commands import Commands, without_replaced
from er.gateway.plan import Plan
from er.routing.router import Router, save
from tests.unit.gateway.conftest import HOST, event, settings
from tests.unit.gateway.raw import END, HEAD, answering, chunk, post, say, status
from tests.unit.gateway.test_expert_processes import until_metric
from tests.unit.gateway.test_gateway_policies import DEAD
from tests.unit.gateway.test_processes import command, get, running

ONE = HEAD + chunk(event("one")) + END
METRICS = b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n"


async def test_term_as_soon_as_the_port_is_known(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], processes=2) as (_, process):
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    plan = Plan(settings(processes=2), [["http://h/v1"]], config.Policy.random)
    plan.write(tmp_path / "plan.json")
    command = [sys.executable, "-m", "er.gateway.process", str(tmp_path / "plan.json")]
    for wait_s in (0.4, 0.6):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(wait_s)
        family = psutil.Process(process.pid).children()
        process.send_signal(number)
        process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive


def test_what_one_process_cannot_do_is_reported_by_all(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        changes = settings(processes=2, admin_port=taken.getsockname()[1])
        Plan(changes, [["http://h/v1"]], config.Policy.random).write(tmp_path / "plan.json")
        command = [sys.executable, "-m", "er.gateway.process", str(tmp_path / "plan.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "gateway.admin_port" in line
    assert not done.stdout


async def test_no_process_outlives_the_first(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], processes=2) as (_, process):
            family = psutil.Process(process.pid).children()
            process.kill()
            _, alive = await asyncio.to_thread(psutil.wait_procs, family, 60)
            assert not alive


async def test_a_process_that_is_started_again_knows_what_was_told(
    router: Router, tmp_path: Path
) -> None:
    file, admin = tmp_path / "router.npz", free_port()
    save(router, file)
    one, other = answering(ONE), answering(ONE)
    async with one.serving() as url, other.serving() as other_url:
        policy = config.Policy.kmeans
        changes = {"admin_port": admin, "processes": 2}
        with running(tmp_path, [url, url], policy, str(file), **changes) as (port, process):
            run = asyncio.to_thread
            for cluster in (0, 1):
                await run(command, admin, "add", expert=cluster, url=other_url)
            await run(command, admin, "drain", url=url)
            gateway = psutil.Process(process.pid)
            for dying in gateway.children():
                dying.kill()
                await run(wait_for, lambda: len(alive(gateway)) == 2, 60, "no process again")
            await run(wait_for, lambda: answers(admin), 60, "no administration again")
            for _ in range(20):
                assert status(await say(port, post())) == 200
            assert len(other.received) == 20
            assert not one.received
            reported = await run(get, f"http://{HOST}:{admin}/admin/experts")
    assert [expert["drained"] for expert in reported["experts"]] == [True, True, False, False]


def alive(gateway: psutil.Process) -> list[psutil.Process]:
    """Its processes that listen."""
    found = []
    for child in gateway.children():
        with suppress(psutil.Error):
            if any(opened.status == "LISTEN" for opened in child.net_connections("tcp")):
                found.append(child)
    return found


def answers(admin: int) -> bool:
    """Whether the administrator is heard."""
    try:
        return bool(get(f"http://{HOST}:{admin}/admin/experts"))
    except OSError:
        return False


async def test_a_process_that_hangs_delays_no_command(tmp_path: Path) -> None:
    admin = free_port()
    async with answering(ONE).serving() as url, answering(ONE).serving() as other_url:
        changes = {"admin_port": admin, "processes": 2}
        with running(tmp_path, [url], **changes) as (port, process):
            family = psutil.Process(process.pid).children()
            first = [c for c in family if admin in {n.laddr.port for n in c.net_connections()}]
            [hanging] = set(family) - set(first)
            hanging.suspend()
            run = asyncio.to_thread
            for _ in range(30):
                await run(command, admin, "add", expert=0, url=other_url)
                await run(command, admin, "remove", url=other_url)
            await run(command, admin, "drain", url=url)
            hanging.resume()
            await until_metric(port, 'er_gateway_usable{expert="0",replica="0"} ', 0)
            for _ in range(10):
                assert status(await say(port, post())) == 503


async def test_usable_is_the_share_of_processes_that_send_requests(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        policy = config.Policy.least_loaded
        changes = {"processes": 2, "breaker_failures": 1, "breaker_open_s": 60}
        with running(tmp_path, [DEAD, url], policy, **changes) as (port, _):
            seen = set()
            for _ in range(200):
                text = (await say(port, METRICS)).decode()
                values = {
                    line.split()[0]: float(line.split()[1])
                    for line in text.splitlines()
                    if line.startswith("er_gateway_usable{")
                }
                seen.add(values['er_gateway_usable{expert="0",replica="0"}'])
                assert values['er_gateway_usable{expert="1",replica="1"}'] == 1.0
                if 0.0 in seen:
                    break
                assert status(await say(port, post())) == 200
                await asyncio.sleep(0.3 if 0.5 in seen else 0)
            assert 0.0 in seen
            assert seen <= {0.0, 0.5, 1.0}


async def test_hup_reaches_every_process(router: Router, tmp_path: Path) -> None:
    file = tmp_path / "router.npz"
    save(router, file)
    async with answering(ONE).serving() as url:
        policy = config.Policy.kmeans
        with running(tmp_path, [url, url], policy, str(file), processes=2) as (_, process):
            os.kill(process.pid, signal.SIGHUP)
            log = tmp_path / "log"
            await asyncio.to_thread(
                wait_for,
                lambda: log.read_text().count("er.gateway: router ") == 2,
                60,
                "not both have read it",
            )


def test_commands_reach_every_other_process_once() -> None:
    commands = Commands(2)
    commands.append({"command": "add", "expert": 0, "url": "http://h/v1"}, 0)
    read_end, write_end = os.pipe()
    for _ in range(2):  # one after the other, as when a process is started again
        child = os.fork()
        if not child:
            woken = commands.wake_end(1).recv(1) if _ == 0 else b""
            os.write(write_end, json.dumps([commands.take(), commands.take()]).encode() + woken)
            os._exit(0)
        os.waitpid(child, 0)
        found = json.loads(os.read(read_end, 4096))
        assert found == [[{"command": "add", "expert": 0, "url": "http://h/v1"}], []]
    assert commands.take() == []  # it has done so itself
    commands.close()
    os.close(read_end)
    os.close(write_end)


def test_only_the_last_router_is_loaded() -> None:
    told = [
        {"command": "reload", "router": "a"}, {"command": "add"}, {"command": "shadow"},
        {"command": "reload", "router": "b"}, {"command": "add"},
    ]  # fmt: skip
    assert without_replaced(told) == [told[1], told[2], told[3], told[4]]


def test_a_dead_process_has_nothing_in_flight() -> None:
    counts = Counts(2)
    counts.become(1)
    for slot in (slots.IN_FLIGHT, slots.REQUESTS, slots.CLIENTS, slots.USABLE):
        counts.row[slot] = 3
    counts.clear(1)
    assert counts.total(slots.REQUESTS) == 3
    assert not counts.total(slots.IN_FLIGHT) + counts.total(slots.CLIENTS)
    assert not counts.total(slots.USABLE)
