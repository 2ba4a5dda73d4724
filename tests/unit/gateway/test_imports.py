"""Whatever is requested, no module is read from disk meanwhile: that would hold every stream up."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.gateway_peers import free_port
from er.config import Policy
from er.gateway.plan import Plan
from er.routing.router import Router, save
from tests.unit.gateway.conftest import event, settings
from tests.unit.gateway.raw import END, HEAD, answering, chunk, post, say, status

# The gateway, which says at its end what it has imported since it was open.
PROGRAM = """
import json, sys
from er.gateway import process
from er.gateway.fast import processes
serve, before = processes.serve, set()
async def watched(own, port, opened):
    await serve(own, port, lambda actual: (opened(actual), before.update(sys.modules)))
processes.serve = watched
code = process.main()
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
sys.exit(code)
"""
ONE = HEAD + chunk(event("one")) + END
ERROR = b"HTTP/1.1 500 Oh\r\ncontent-length: 17\r\n\r\n" + b'{"error": "none"}'


async def test_nothing_is_imported_while_requests_come(router: Router, tmp_path: Path) -> None:
    file, port_file, plan_file = (tmp_path / name for name in ("r.npz", "port", "plan.json"))
    save(router, file)
    admin = free_port()
    async with answering(ONE).serving() as url, answering(ERROR).serving() as failing:
        changed = settings(access_log=True, admin_port=admin)
        urls = [[url], [failing.replace("/generate_stream", "/v1")]]
        Plan(changed, urls, Policy.kmeans, str(file), port_file=str(port_file)).write(plan_file)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, plan_file, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        for _ in range(3000):
            if port_file.exists() and port_file.read_text():
                break
            await asyncio.sleep(0.02)
        port = int(port_file.read_text())
        texts = ("court", "oven", "court é " * 3000, "oven " * 40_000, "\u0130 oven")
        for text in texts:
            generate = json.dumps({"text_input": text}).encode()
            chat = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
            for request in (
                post(generate),
                post(generate, "x-er-explain: 1"),
                post(chat, path="/v1/chat/completions"),
                post(json.dumps({"prompt": text, "stream": True}).encode(), path="/v1/completions"),
            ):
                assert status(await say(port, request))
        for path in ("/metrics", "/ready", "/v1/models", "/openapi.json", "/health", "/nothing"):
            assert status(await say(port, f"GET {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode()))
        assert status(await say(port, b"no HTTP\r\n\r\n")) == 400
        for name in ("reload", "shadow", "drain"):
            body = {"shadow": {"router": str(file)}, "drain": {"expert": 1}}.get(name, {})
            command = post(json.dumps(body).encode(), path=f"/admin/{name}")
            assert status(await say(admin, command)) == 200
        assert status(await say(port, post())) == 200
        process.terminate()
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert json.loads(errors.splitlines()[-1]) == []
