"""The gateway as a process of its own."""

import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from er import config
from er.errors import ErError
from er.gateway.__main__ import main
from er.gateway.plan import Plan
from er.gateway.serve import serve
from er.results.request import Endpoint
from er.routing.router import Router, save
from tests.unit.gateway.conftest import HOST, event, settings

ANY_PORT = settings()


class OneToken(BaseHTTPRequestHandler):
    """An expert."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(event("one"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def expert() -> Iterator[Endpoint]:
    with HTTPServer((HOST, 0), OneToken) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Endpoint(f"http://{HOST}:{server.server_port}/generate_stream", "expert")
        server.shutdown()
        thread.join()


@pytest.fixture
def path(router: Router, tmp_path: Path) -> Path:
    save(router, tmp_path / "router.npz")
    return tmp_path / "router.npz"


def test_it_relays_and_is_gone_afterwards(path: Path, expert: Endpoint, tmp_path: Path) -> None:
    before = psutil.Process().children()
    with serve(path, [expert, expert], ANY_PORT, tmp_path) as endpoint:
        body = json.dumps({"text_input": "court"}).encode()
        request = urllib.request.Request(endpoint.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.headers["x-er-expert"] in {"0", "1"}
            assert response.read() == event("one")
    assert psutil.Process().children() == before
    assert "2 experts" in (tmp_path / "logs" / "gateway.log").read_text()


def test_a_baseline_needs_no_router(expert: Endpoint, tmp_path: Path) -> None:
    policy = config.Policy.round_robin
    with serve(None, [expert, expert], ANY_PORT, tmp_path, policy) as endpoint:
        chosen = []
        for _ in range(3):
            with urllib.request.urlopen(endpoint.url, b'{"text_input": ""}', timeout=60) as answer:
                assert answer.headers["x-er-policy"] == "round_robin"
                chosen.append(answer.headers["x-er-expert"])
    assert chosen == ["0", "1", "0"]


def test_a_busy_port_is_named_before_anything_starts(
    path: Path, expert: Endpoint, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as busy:
        port = busy.getsockname()[1]
        with (
            pytest.raises(ErError, match=rf"gateway\.port {port} cannot be opened"),
            serve(path, [expert], settings(port=port), tmp_path),
        ):
            pass
    assert not (tmp_path / "logs").exists()


def test_a_router_for_another_number_of_experts_is_refused(
    path: Path, expert: Endpoint, tmp_path: Path
) -> None:
    with (
        pytest.raises(ErError, match="chooses between 2 experts, 1 are given"),
        serve(path, [expert], ANY_PORT, tmp_path),
    ):
        pass


U = "http://127.0.0.1:1/v1"
E = ["deployment=e", "deployment.experts=2"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "gateway.experts has 0 addresses, deployment=a has 1 expert: "),
        ([*E, f"gateway.experts=[{U}]"], 2, "for each, or deployment.experts=1"),
        ([*E, f"gateway.experts=[{U},[]]"], 2, "gateway.experts is empty"),
        ([*E, "gateway.experts=[x,y]"], 2, "gateway.experts has x: give addresses such as http"),
        ([*E, "gateway.experts=[ftp://h/v1,y]"], 2, "gateway.experts has ftp://h/v1"),
        ([*E, "gateway.experts=[http://h:70000/v1,y]"], 2, "gateway.experts has http://h:70000"),
        (["gateway.port=70000"], 2, "gateway.port is 70000: give a TCP port"),
        (["gateway.in_flight_at_most=-1"], 2, "gateway.in_flight_at_most is -1"),
        (["gateway.timeouts.idle_s=0"], 2, "gateway.timeouts.idle_s is 0"),
        (["gateway.timeouts.idle_s=nan"], 2, "gateway.timeouts.idle_s is nan"),
        (["gateway=fastest"], 2, "fastest"),
        (["gateway.tls_key=k.pem"], 2, "gateway.tls_certificate and gateway.tls_key belong"),
        (["gateway.limits.prompt_tokens=9"], 2, "gateway.limits.tokenizer (a tokenizer.json)"),
        ([*E, f"gateway.experts=[{U},{U}]", "gateway.limits.prompt_tokens=9",
          "gateway.limits.tokenizer=absent.json"], 2, "absent.json is not a tokenizer.json"),
        (["--port=1"], 2, "--port=1 is not known"),
        ([*E, f"gateway.experts=[{U},{U}]", "routing.policy=random", "routing.shares=[0,0]"],
         2, "routing.shares is [0.0, 0.0]"),
        ([*E, f"gateway.experts=[{U},{U}]", "routing.policy=random", "routing.shares=[nan,1]"],
         2, "routing.shares is [nan, 1.0]"),
    ],
)  # fmt: skip
def test_bad_arguments_end_with_one_line(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]


def test_an_unwritable_port_file_is_named(expert: Endpoint, tmp_path: Path) -> None:
    plan_file, port_file = tmp_path / "plan.json", tmp_path / "absent" / "port"
    urls = [[expert.url]]
    Plan(ANY_PORT, urls, config.Policy.random, port_file=str(port_file)).write(plan_file)
    command = [sys.executable, "-m", "er.gateway.process", str(plan_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line == f"er.gateway: {port_file} cannot be written: No such file or directory"
