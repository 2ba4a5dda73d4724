"""The wheel's tritonserver: it serves, says why it fails, and leaves nothing behind."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from processes import processes_naming
from tritonclient.grpc import InferenceServerClient

from er.config import Server
from er.errors import ErError
from er.results.request import Endpoint, ServedModel
from er.server import embedded
from er.server.ports import reserved
from tests.standins.waiting import eventually

pytestmark = pytest.mark.embedded

SERVER = Server("embedded", 60, 15, 0, 0, 0)
SHM_PREFIX = re.compile(r"shm-region-prefix-name=(\w+)")


def echo(name: str, crash: str = "no") -> ServedModel:
    return ServedModel(name, "echo_model", 8, {"gap_s": "0.001", "crash": crash})


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    folder = tmp_path_factory.mktemp("run")
    with embedded.serve([echo("expert_0"), echo("expert_1")], SERVER, folder) as endpoints:
        yield endpoints
    assert_nothing_left(folder, endpoints[0])


def assert_nothing_left(folder: Path, endpoint: Endpoint) -> None:
    """No process that names the run directory, no listener, no shared memory of the run."""
    assert processes_naming(str(folder)) == []
    url = urlsplit(endpoint.url)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((url.hostname, url.port))
    log = (folder / "logs" / "triton.log").read_text()
    prefixes = set(SHM_PREFIX.findall(log.replace('":"', "=")))
    assert prefixes, "the log no longer tells the prefix of the shared memory"
    assert [path for p in prefixes for path in Path("/dev/shm").glob(f"{p}*")] == []


def test_streams_one_event_per_token(endpoints: list[Endpoint], stream: Any) -> None:
    answer = stream(endpoints[0], "grüße an 世界", 4)
    assert answer.texts == ["grüße", "an", "世界", "grüße"]
    assert "token_lateness" not in answer.events[-2]
    assert answer.events[-1]["token_lateness"] == [0, 0, 0, 0]


def test_every_model_has_its_endpoint(endpoints: list[Endpoint], stream: Any) -> None:
    assert [endpoint.model for endpoint in endpoints] == ["expert_0", "expert_1"]
    assert {stream(endpoint, "x", 1).events[0]["model_name"] for endpoint in endpoints} == {
        "expert_0",
        "expert_1",
    }


def test_takes_every_field_of_the_contract(endpoints: list[Endpoint], stream: Any) -> None:
    answer = stream(
        endpoints[0],
        "a b",
        2,
        bad_words=["x", "y"],
        stop_words=["z"],
        temperature=0.7,
        top_p=0.9,
        random_seed=1,
        end_id=2,
        return_perf_metrics=False,
    )
    assert answer.texts == ["a", "b"]


def test_prove_accepts_a_model_that_answers(endpoints: list[Endpoint]) -> None:
    embedded.prove(endpoints[0], max_tokens=2)


def test_prove_notices_an_error_in_an_answer_of_status_200(
    endpoints: list[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PROOF_TEXT", "!raise")
    with pytest.raises(ErError, match=r"model expert_0 does not infer: .*told to"):
        embedded.prove(endpoints[0], max_tokens=1)


def test_prove_notices_a_dead_stub_that_reads_ready(tmp_path: Path) -> None:
    with embedded.serve([echo("expert_0")], SERVER, tmp_path) as (endpoint,):
        stub = next(p for p in processes_naming(str(tmp_path)) if "stub" in p.name())
        stub.kill()
        assert eventually(lambda: stub.status() == psutil.STATUS_ZOMBIE)
        ready = f"{endpoint.url.rpartition('/')[0]}/ready"
        assert embedded.readiness.answers(ready)
        with pytest.raises(ErError, match="model expert_0 does not infer"):
            embedded.prove(endpoint, max_tokens=1)
    assert_nothing_left(tmp_path, endpoint)


def test_a_crash_at_start_is_reported_at_once_in_one_line(tmp_path: Path) -> None:
    models = [echo("expert_0"), echo("expert_1", crash="yes")]
    message = (
        r"^Triton stopped by itself with exit status 1: .*expert_1.*"
        r"the echo model was told to crash at start.*\(log: .*triton\.log\)$"
    )
    slow = Server("embedded", 250, 15, 0, 0, 0)
    with pytest.raises(ErError, match=message), embedded.serve(models, slow, tmp_path):
        pass
    assert processes_naming(str(tmp_path)) == []


def test_an_unknown_implementation_is_reported(tmp_path: Path) -> None:
    model = ServedModel("expert_0", "no_such_module", 1, {})
    with (
        pytest.raises(ErError, match="No module named 'no_such_module'"),
        embedded.serve([model], SERVER, tmp_path),
    ):
        pass


def test_a_configured_port_is_used(tmp_path: Path) -> None:
    with reserved(SERVER) as ports:
        pass
    configured = Server("embedded", 60, 15, ports.http, ports.grpc, ports.metrics)
    with embedded.serve([echo("expert_0")], configured, tmp_path) as (endpoint,):
        assert urlsplit(endpoint.url).port == ports.http
        assert endpoint.grpc_address == f"127.0.0.1:{ports.grpc}"
        with InferenceServerClient(endpoint.grpc_address) as client:
            assert client.is_model_ready("expert_0")
        with urllib.request.urlopen(endpoint.metrics_url, timeout=60) as response:
            assert b'nv_inference_request_success{model="expert_0"' in response.read()
    assert_nothing_left(tmp_path, endpoint)


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), embedded.serve([echo("expert_0")], SERVER, tmp_path) as (it,):
        raise KeyError
    assert_nothing_left(tmp_path, it)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_owner_leaves_nothing(tmp_path: Path, number: int) -> None:
    with owner(tmp_path) as (process, endpoint):
        process.send_signal(number)
        process.wait(60)
    assert eventually(lambda: processes_naming(str(tmp_path)) == [])
    assert_nothing_left(tmp_path, endpoint)


@pytest.mark.parametrize("victim", ["guard.py", "bin/tritonserver"])
def test_a_killed_guard_or_server_leaves_nothing(tmp_path: Path, victim: str) -> None:
    with embedded.serve([echo("expert_0")], SERVER, tmp_path) as (endpoint,):
        found = processes_naming(str(tmp_path))
        next(p for p in found if victim in p.cmdline()[0] or victim in p.cmdline()[3]).kill()
    assert eventually(lambda: processes_naming(str(tmp_path)) == [])
    assert_nothing_left(tmp_path, endpoint)


@contextmanager
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Endpoint]]:
    """A process of its own that serves the echo model."""
    script = Path(__file__).parent / "serve_until_killed.py"
    command = [sys.executable, str(script), str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        try:
            yield process, Endpoint(process.stdout.readline().strip(), "expert_0")
        finally:
            process.kill()
