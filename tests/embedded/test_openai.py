"""Both clients of HTTP against a real server that speaks OpenAI's dialect: llama.cpp's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from er.config import LoadClient
from er.engine import smollm2
from er.load.users import run_point
from er.results.request import Endpoint, Prompt
from tests.unit.load.fakes import load

SERVER = """
import sys, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.n_parallel, settings.n_ctx = 2, 1024
settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(settings)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-c", SERVER, str(smollm2.weights(Path(".cache")))]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, text=True) as server:
        assert server.stdout
        assert server.stdin
        yield server.stdout.readline().strip()
        server.stdin.close()


@pytest.mark.parametrize("client", [LoadClient.aiohttp, LoadClient.sockets])
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_every_token_of_a_real_openai_server_is_seen(
    address: str, client: LoadClient, path: str
) -> None:
    endpoint = Endpoint(f"{address}/v1/{path}", "SmolLM2-135M-Instruct")
    prompts = [Prompt("Once upon a time, a ship sailed", "", 8, 12)]
    settings = load(client=client, warmup_requests_per_user=0, request_timeout_s=60.0)
    point = run_point(endpoint, prompts, 2, settings, lambda _: None)
    assert len([request for request in point.requests if not request.cooldown]) == 4
    for request in point.requests:
        assert (request.status, request.error) == (200, "")
        assert 0 < request.output_tokens <= 12  # the model may end its answer itself
        assert len(request.text.split()) <= request.output_tokens
        assert request.token_times_s == sorted(request.token_times_s)
