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
from er.gateway.serve import serve
from er.results.request import Endpoint
from er.routing.router import Router, save
from tests.unit.gateway.conftest import HOST, event

ANY_PORT = config.Gateway(port=0, ready_timeout_s=60)


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
    with serve(path, [expert, expert], ANY_PORT, tmp_path) as endpoint:
        body = json.dumps({"text_input": "court"}).encode()
        request = urllib.request.Request(endpoint.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.headers["x-er-expert"] in {"0", "1"}
            assert response.read() == event("one")
    assert psutil.Process().children() == []
    assert "2 experts" in (tmp_path / "logs" / "gateway.log").read_text()


def test_a_baseline_needs_no_router(expert: Endpoint, tmp_path: Path) -> None:
    policy = config.Policy.round_robin
    with serve(None, [expert, expert], ANY_PORT, tmp_path, policy) as endpoint:
        chosen = []
        for _ in range(3):
            with urllib.request.urlopen(endpoint.url, b'{"text_input": ""}', timeout=30) as answer:
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
            serve(path, [expert], config.Gateway(port, 5), tmp_path),
        ):
            pass
    assert not (tmp_path / "logs").exists()


def test_a_router_for_another_number_of_experts_is_refused(
    path: Path, expert: Endpoint, tmp_path: Path
) -> None:
    with (
        pytest.raises(ErError, match="chooses between 2 experts, --expert names 1"),
        serve(path, [expert], ANY_PORT, tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "required: --expert"),
        (["--expert", "http://x"], 2, "give a ROUTER to the policy kmeans, and to no other"),
        (["r.npz", "--expert", "http://x", "--policy", "random"], 2, "and to no other"),
        (["r.npz", "--expert", "http://x", "--port", "many"], 2, "invalid int value: 'many'"),
        (["absent.npz", "--expert", "http://x"], 1, "there is no router at absent.npz"),
    ],
)
def test_bad_arguments_end_with_one_line(arguments: list[str], status: int, said: str) -> None:
    command = [sys.executable, "-m", "er.gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]
