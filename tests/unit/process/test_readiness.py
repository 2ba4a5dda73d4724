"""Waiting for readiness ends as soon as the process has ended."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from er.errors import ErError
from er.process.group import running
from er.process.readiness import answers, wait_until


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_answers_means_status_200() -> None:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert answers(f"{base}/ready")
        assert not answers(f"{base}/starting")
        server.shutdown()
        thread.join()
    assert not answers(f"{base}/ready")


def test_a_crash_is_told_without_waiting_for_the_timeout(tmp_path: Path) -> None:
    with (
        running(
            ["sh", "-c", "echo failed to bind; exit 7"],
            tmp_path / "log",
            name="Triton",
            stop_timeout_s=1,
        ) as child,
        pytest.raises(ErError, match=r"^Triton stopped .* 7: failed to bind \(log: "),
    ):
        wait_until(lambda: False, child, timeout_s=250, what="a model")


def test_a_timeout_names_what_was_waited_for(tmp_path: Path) -> None:
    with (
        running(
            ["sh", "-c", "echo loading; sleep 60"], tmp_path / "log", name="it", stop_timeout_s=1
        ) as child,
        pytest.raises(
            ErError, match=r"^it: waited 0\.2 s for a model without success: loading \(log: "
        ),
    ):
        wait_until(lambda: False, child, timeout_s=0.2, what="a model")


def test_an_answer_of_somebody_else_does_not_hide_a_crash(tmp_path: Path) -> None:
    with running(["true"], tmp_path / "log", name="it", stop_timeout_s=1) as child:
        child.guard.wait()
        with pytest.raises(ErError, match="it stopped by itself with exit status 0"):
            wait_until(lambda: True, child, timeout_s=1, what="a model")
