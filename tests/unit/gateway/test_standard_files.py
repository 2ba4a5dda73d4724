"""Output that cannot be written, standard files that are closed, signals: nothing stops serving."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from er.compose import plan
from er.config import Policy
from er.gateway.plan import Plan
from tests.standins.waiting import until
from tests.unit.gateway.conftest import event, settings
from tests.unit.gateway.raw import END, HEAD, answering, chunk, post, say, status

ONE = HEAD + chunk(event("one")) + END


@asynccontextmanager
async def running(
    folder: Path, url: str, redirections: str, kind: str = "fast"
) -> AsyncIterator[tuple[int, "asyncio.subprocess.Process"]]:
    """A gateway's port and process, started by a shell with these redirections."""
    port_file = folder / "port"
    [job] = plan([f"gateway={kind}"])
    changed = settings(access_log=True) if kind == "fast" else job.gateway
    Plan(changed, [[url]], Policy.random, port_file=str(port_file)).write(folder / "plan.json")
    command = f'exec "$0" -m er.gateway.process "$1" {redirections}'
    with (folder / "errors").open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command, sys.executable, folder / "plan.json",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:

        def listens() -> bool:
            assert process.returncode is None, (folder / "errors").read_text()
            return port_file.exists() and bool(port_file.read_text())

        await until(listens)
        yield int(port_file.read_text()), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def standard_files(pid: int) -> list[Path]:
    """What a process has for standard input and output."""
    return [Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1)]


@pytest.mark.parametrize("kind", ["fast", "aiohttp"])
@pytest.mark.parametrize("redirections", ["> /dev/full", "<&- >&- 2>&-", ">&- 2> /dev/full"])
async def test_output_that_cannot_be_written(tmp_path: Path, redirections: str, kind: str) -> None:
    async with (
        answering(ONE).serving() as url,
        running(tmp_path, url, redirections, kind) as (port, process),
    ):
        assert all(str(file).startswith("/dev/") for file in standard_files(process.pid))
        for _ in range(3):
            assert status(await say(port, post())) == 200
            await asyncio.sleep(0.3)  # the log is written meanwhile
        answer = await say(port, post())
        assert answer.count(b"HTTP/1.1") == 1
        assert b'"status"' not in answer  # no line of the log
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert "Traceback" not in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("kind", ["fast", "aiohttp"])
async def test_signals_of_others_and_a_stop_cut_no_stream(tmp_path: Path, kind: str) -> None:
    may_end = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD + chunk(event("one")))
        await may_end.wait()
        writer.write(chunk(event("two")) + END)
        return True

    expert = answering(ONE)
    expert.answer = answer
    async with expert.serving() as url, running(tmp_path, url, "", kind) as (port, process):
        asking = asyncio.ensure_future(say(port, post()))
        await until(lambda: bool(expert.received))
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGPIPE):
            process.send_signal(number)
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        await until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGCONT)
        may_end.set()
        assert (await asking).count(b"data: ") == 2
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
async def test_signals_of_others_while_it_starts(tmp_path: Path, number: signal.Signals) -> None:
    async with answering(ONE).serving() as url:
        starting = running(tmp_path, url, "")

        async def disturb() -> None:
            name = f"{tmp_path}/plan.json"
            while True:
                for process in psutil.process_iter(["cmdline"]):
                    if name in (process.info["cmdline"] or []) and ignored(process.pid, number):
                        process.send_signal(number)
                await asyncio.sleep(0.02)

        disturbing = asyncio.ensure_future(disturb())
        async with starting as (port, _):
            assert status(await say(port, post())) == 200
        disturbing.cancel()


def ignored(pid: int, number: signal.Signals) -> bool:
    """Whether a process passes a signal over, or handles it: Python itself has begun by then."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigIgn", "SigCgt"))]
    return any(mask >> (number - 1) & 1 for mask in masks)
