"""A process that is killed while it measures loses at most the last second of requests."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from er.config import LoadClient
from tests.unit.load.fakes import Serve, stream

SCRIPT = """
import sys
from pathlib import Path
from er.config import LoadClient
from er.load.users import run_point
from er.results.request import Endpoint
from er.results.run_dir import RunDir
from tests.unit.load.fakes import load, prompt

url, client, folder = sys.argv[1:]
settings = load(client=LoadClient(client), requests_per_user=10000)
with RunDir(Path(folder)).request_log(3) as log:
    run_point(Endpoint(url, "fake"), [prompt()], 3, settings, log.add)
"""


@pytest.mark.parametrize("client", [LoadClient.aiohttp, LoadClient.sockets])
def test_a_kill_loses_a_second_at_most(serve: Serve, tmp_path: Path, client: LoadClient) -> None:
    ended_s: list[float] = []

    async def slow_at_times(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        # Pauses longer than a second: what ended before one must not wait for what comes after.
        await asyncio.sleep(1.5 if len(ended_s) in (9, 10, 11) else 0.01)
        await stream(body, writer)
        ended_s.append(time.monotonic())

    url = serve(slow_at_times).endpoint.url
    (tmp_path / "requests").mkdir()
    command = [sys.executable, "-c", SCRIPT, url, client.value, str(tmp_path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    try:
        deadline_s = time.monotonic() + 60
        while len(ended_s) < 9 or time.monotonic() < ended_s[8] + 1.2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        children = psutil.Process(process.pid).children()
    finally:
        process.kill()
        process.wait()
    killed_s = time.monotonic()
    lines = (tmp_path / "requests" / "c0003.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines]
    assert len(whole) >= sum(end_s < killed_s - 1 for end_s in ended_s) >= 9
    assert all(request["text"] == "t0 t1 t2 " for request in whole)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
