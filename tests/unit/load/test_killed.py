"""A process that is killed while it measures keeps the requests that ended before."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from er.config import LoadClient
from tests.standins.waiting import eventually
from tests.unit.load.fakes import Serve, stream

SCRIPT = """
import sys
from pathlib import Path
from er.config import LoadClient
from er.load.users import run_point
from er.results.request import Endpoint
from er.results.run_dir import RunDir
from tests.standins.waiting import eventually
from tests.unit.load.fakes import load, prompt

url, client, folder = sys.argv[1:]
settings = load(client=LoadClient(client), requests_per_user=10000)
with RunDir(Path(folder)).request_log(3) as log:
    run_point(Endpoint(url, "fake"), [prompt()], 3, settings, log.add)
"""


@pytest.mark.parametrize("client", [LoadClient.aiohttp, LoadClient.sockets])
def test_what_has_ended_is_kept_without_what_comes_after(
    serve: Serve, tmp_path: Path, client: LoadClient
) -> None:
    answered = 0

    async def answer_nine(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        if answered > 9:
            await asyncio.Event().wait()
        await stream(body, writer)

    url = serve(answer_nine).endpoint.url
    (tmp_path / "requests").mkdir()
    command = [sys.executable, "-c", SCRIPT, url, client.value, str(tmp_path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    try:
        log = tmp_path / "requests" / "c0003.jsonl"
        assert eventually(lambda: log.exists() and log.read_bytes().count(b"\n") == 9)
        children = psutil.Process(process.pid).children()
    finally:
        process.kill()
        process.wait()
    whole = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(whole) == 9
    assert all(request["text"] == "t0 t1 t2 " for request in whole)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
