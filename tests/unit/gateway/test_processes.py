"""The gateway as real processes: signals, several of them, administration, keys, TLS."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.gateway_peers import free_port
from er import config
from er.gateway.fast import time_slice
from er.gateway.plan import Plan
from er.routing.router import Router, save
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, event, settings
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status

ONE = HEAD + chunk(event("one")) + END


@contextmanager
def running(
    folder: Path,
    urls: list[str],
    policy: config.Policy = config.Policy.round_robin,
    router: str = "",
    env: dict[str, str] | None = None,
    shell: str = ":",
    **changes: Any,
) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """A gateway's port and process, which starts after a command of the shell."""
    port_file, plan_file = folder / "port", folder / "plan.json"
    port_file.unlink(missing_ok=True)
    experts = [[url] for url in urls]
    Plan(settings(**changes), experts, policy, router, port_file=str(port_file)).write(plan_file)
    program = [sys.executable, "-m", "er.gateway.process", str(plan_file)]
    command = ["bash", "-c", f'{shell}; exec "$@"', "bash", *program]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, text=True, env=os.environ | (env or {})
        )
        try:
            deadline_s = time.monotonic() + 60
            while not (port_file.exists() and port_file.read_text()):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            yield int(port_file.read_text()), process
        finally:
            process.terminate()
            process.wait(60)


def get(url: str, **headers: str) -> Any:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def command(port: int, name: str, **fields: Any) -> Any:
    body = json.dumps(fields).encode()
    with urllib.request.urlopen(f"http://{HOST}:{port}/admin/{name}", body, timeout=60) as answer:
        return json.load(answer)


async def test_term_lets_answers_end_and_exits_with_0(tmp_path: Path) -> None:
    may_end = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD + chunk(event("one")))
        await writer.drain()
        await may_end.wait()
        writer.write(chunk(event("two")) + END)
        return True

    expert = RawExpert(answer)
    async with expert.serving() as url:
        with running(tmp_path, [url]) as (port, process):
            asking = asyncio.ensure_future(say(port, post()))
            await until(lambda: bool(expert.received))
            process.terminate()

            async def is_closed() -> bool:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    return True
                writer.close()
                return False

            await until(is_closed)
            await asyncio.sleep(0.3)
            assert process.poll() is None
            may_end.set()
            assert (await asking).count(b"data: ") == 2
            assert await asyncio.to_thread(process.wait, 60) == 0


async def test_hup_reads_the_router_again_and_a_bad_one_is_not_used(
    router: Router, tmp_path: Path
) -> None:
    file = tmp_path / "router.npz"
    save(router, file)
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url, url], config.Policy.kmeans, str(file)) as (port, process):
            assert time_slice.read_ns(process.pid) == (
                time_slice.SLICE_NS if time_slice.read_ns(0) else 0
            )
            before = (await say(port, post())).partition(b"x-er-router: ")[2][:16]
            swapped = Router(
                router.terms, router.idf, router.components, router.centres[::-1].copy(),
                router.prices[::-1].copy(), router.sublinear_tf, {"other": True},
            )  # fmt: skip
            save(swapped, file)
            process.send_signal(signal.SIGHUP)
            got = b""

            async def another_answers() -> bool:
                nonlocal got
                got = await say(port, post())
                assert status(got) == 200
                return before not in got

            await until(another_answers)
            after = got.partition(b"x-er-router: ")[2][:16]
            assert after != before
            assert b"x-er-expert: %d" % (1 - router.classify("court")) in got
            file.write_bytes(b"no router")
            process.send_signal(signal.SIGHUP)
            await until(lambda: "kept the old router" in (tmp_path / "log").read_text())
            assert after in await say(port, post())
    assert "kept the old router" in (tmp_path / "log").read_text()


async def test_two_processes_count_together(tmp_path: Path) -> None:
    held = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        await held.wait()
        writer.write(ONE)
        return True

    async with RawExpert(answer).serving() as url:
        urls = [url.replace("generate", f"generate{n}") for n in range(4)]
        policy = config.Policy.least_loaded
        with running(tmp_path, urls, policy, processes=2) as (port, process):
            asking = [asyncio.ensure_future(say(port, post())) for _ in range(40)]
            lines: dict[str, float] = {}

            async def all_are_counted() -> bool:
                metrics = (await say(port, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")).decode()
                found = [m for m in metrics.splitlines() if m.startswith("er_gateway_in_flight{")]
                lines.update({m.split()[0]: float(m.split()[1]) for m in found})
                return sum(lines.values()) == 40

            await until(all_are_counted)
            assert max(lines.values()) - min(lines.values()) <= 2
            held.set()
            assert {status(got) for got in await asyncio.gather(*asking)} == {200}
            children = psutil.Process(process.pid).children()
            assert len(children) == 2
            children[0].kill()

            def another_takes_its_place() -> bool:
                family = psutil.Process(process.pid).children()
                return children[0] not in family and len(family) == 2

            await until(another_takes_its_place)
            codes = [status(await say(port, post())) for _ in range(10)]
            assert codes == [200] * 10
    assert process.returncode == 0
    assert "another is started" in (tmp_path / "log").read_text()


async def test_it_ends_while_it_starts_a_process_again(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], config.Policy.round_robin, processes=2) as (_, process):
            gateway = psutil.Process(process.pid)
            before = gateway.children()
            before[0].kill()
            for _ in range(5000):
                if set(gateway.children()) - set(before):
                    break
                await asyncio.sleep(0.001)
    assert process.returncode == 0


async def test_an_administrator_drains_adds_shadows_and_reloads(
    router: Router, tmp_path: Path
) -> None:
    file, admin = tmp_path / "router.npz", free_port()
    save(router, file)
    one, other = answering(ONE), answering(ONE)
    async with one.serving() as url, other.serving() as other_url:
        with running(
            tmp_path, [url, url], config.Policy.kmeans, str(file), admin_port=admin, processes=2
        ) as (port, _):
            assert status(await say(port, post(b"{}", path="/admin/drain"))) == 404
            reported = await asyncio.to_thread(get, f"http://{HOST}:{admin}/admin/experts")
            assert [expert["usable"] for expert in reported["experts"]] == [True, True]
            chosen = router.classify("court")
            run = asyncio.to_thread
            await run(command, admin, "add", expert=chosen, url=other_url)
            await run(command, admin, "drain", expert=chosen, url=url)
            await until_usable(port, chosen, 0)
            for _ in range(20):
                assert status(await say(port, post())) == 200
            assert not one.received
            assert len(other.received) == 20
            await run(command, admin, "restore", url=url)
            await until_usable(port, chosen, 1)
            await run(command, admin, "remove", url=other_url)

            async def is_received() -> bool:
                await say(port, post())
                return bool(one.received)

            await until(is_received)
            reported = await run(command, admin, "shadow", router=str(file))
            assert reported["shadow"] == reported["router"]
            for _ in range(300):  # until both processes have loaded it
                before = await shadowed(port)
                for _ in range(10):
                    await say(port, post())
                if await shadowed(port) == before + 10:
                    break
                await asyncio.sleep(0.2)
            assert await shadowed(port) == before + 10
            await run(command, admin, "reload")
            for wrong in ({"expert": 9}, {"url": "http://nobody/v1"}, {}):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    await run(lambda wrong=wrong: command(admin, "drain", **wrong))
                assert refused.value.code == 400
                refused.value.close()


async def until_usable(port: int, expert: int, processes: float) -> None:
    """Return once the first address of an expert is used by this share of the processes."""
    line = f'er_gateway_usable{{expert="{expert}",replica="{expert}"}} {processes:.1f}'

    async def holds() -> bool:
        return line.encode() in await say(port, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")

    await until(holds)


async def shadowed(port: int) -> int:
    """Decisions that a router in shadow shared."""
    metrics = await say(port, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
    found = metrics.partition(b'er_gateway_events_total{event="shadow_same"} ')[2]
    return int(float(found.partition(b"\n")[0]))


async def test_keys_are_needed_and_never_logged(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# clients\nann:very-secret-one\n")
    env = {"ER_GATEWAY_API_KEYS": "bob:very-secret-two"}
    expert = answering(ONE)
    async with expert.serving() as url:
        changes = {"api_keys_file": str(file), "access_log": True}
        with running(tmp_path, [url], env=env, **changes) as (port, _):
            for header, right in (
                ("x: y", 401),
                ("authorization: Bearer wrong", 401),
                ("authorization: Bearer very-secret-one", 200),
                ("authorization: bearer very-secret-two", 200),
                ("x-api-key: very-secret-two", 200),
                ("authorization: Bearer ", 401),
            ):
                got = await say(port, post(b'{"text_input": "court"}', header))
                assert status(got) == right
            log_file = tmp_path / "log"
            await until(lambda: log_file.read_text().count('"status"') >= 6)
    lines = (tmp_path / "log").read_text().splitlines()
    log = [json.loads(line) for line in lines if line.startswith("{")]
    assert [entry["status"] for entry in log] == [401, 401, 200, 200, 200, 401]
    assert [entry.get("user") for entry in log] == [None, None, "ann", "bob", "bob", None]
    assert all(entry["id"] for entry in log)
    assert "secret" not in "".join(lines)
    assert all(b"secret" not in received for received in expert.received)


async def test_tls(tmp_path: Path) -> None:
    made = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
    ]  # fmt: skip
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    files = {"tls_certificate": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], **files) as (port, _):
            reader, writer = await asyncio.open_connection(
                HOST, port, ssl=context, server_hostname="localhost"
            )
            for _ in range(3):
                writer.write(post())
                assert (await reader.readuntil(END)).endswith(ONE.removeprefix(HEAD))
            writer.write(post(b"{"))
            assert b" 400 " in await reader.readline()
            writer.close()
            assert status(await say(port, post())) == 0  # plain HTTP is not answered
    with (
        pytest.raises(AssertionError, match="cannot be used"),
        running(tmp_path, [url], tls_certificate="absent.pem", tls_key="absent.pem"),
    ):
        pass


async def test_a_place_that_one_process_frees_is_seen_by_the_others_queues(tmp_path: Path) -> None:
    async def answer(writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.05)
        writer.write(ONE)
        return True

    async with RawExpert(answer).serving() as url:
        changes = {"processes": 3, "in_flight_at_most": 1, "queue_at_most": 100}
        with running(tmp_path, [url], **changes) as (port, _):
            answers = await asyncio.gather(*(say(port, post()) for _ in range(30)))
    assert [status(got) for got in answers] == [200] * 30
