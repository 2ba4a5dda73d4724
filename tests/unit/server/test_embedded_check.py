"""Missing parts are named, with advice, before anything is started."""

import socket
from pathlib import Path

import pytest

from er.config import Server
from er.errors import ErError
from er.server import embedded
from er.server.ports import Ports, reserved_port

PORTS = ("http", "grpc", "metrics")


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(embedded, "running", refuse)


def serve(tmp_path: Path, port: int = 0) -> None:
    with embedded.serve([], Server("embedded", 5, 5, port, 0, 0), tmp_path):
        raise AssertionError("it served")


def test_this_environment_passes() -> None:
    embedded.check()


def test_missing_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "tritonserver", lambda: tmp_path / "tritonserver")
    with pytest.raises(ErError, match=r"Triton binary is missing \(.*tritonserver\).*make setup"):
        serve(tmp_path)


def test_wheel_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ErError, match="Triton binary is missing"):
        serve(tmp_path)


def test_no_stub_for_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PYTHON", "3.99")
    with pytest.raises(ErError, match=r"no Python backend for Python 3\.99.*use Python 3\.11"):
        serve(tmp_path)


def test_missing_libpython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "libpython_folders", list)
    monkeypatch.setattr(embedded.ctypes.util, "find_library", lambda _: None)
    with pytest.raises(ErError, match=r"^libpython3\.\d+\.so\.1\.0.*apt install libpython3"):
        serve(tmp_path)


def test_numpy_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "version", lambda _: "2.1.0")
    with pytest.raises(ErError, match=r"^numpy 2\.1\.0 .* install numpy < 2"):
        serve(tmp_path)


def test_busy_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ErError, match=rf"^server.http_port {port} cannot be opened.*in use"):
            serve(tmp_path, port)


def test_port_of_another_run_that_waits_for_its_triton(tmp_path: Path) -> None:
    with (
        reserved_port(0, "server.http_port") as port,
        pytest.raises(ErError, match=f"^server.http_port {port}"),
    ):
        serve(tmp_path, port)


@pytest.mark.parametrize("kind", ["grpc", "metrics"])
def test_every_port_is_told_by_its_setting(tmp_path: Path, kind: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = Server("embedded", 5, 5, *(port * (kind == name) for name in PORTS))
        with pytest.raises(ErError, match=rf"^server.{kind}_port {port} cannot be opened"):
            embedded.serve([], server, tmp_path).__enter__()


def test_command_names_every_model_and_stays_on_loopback(tmp_path: Path) -> None:
    models = [embedded.ServedModel(name, "x", 1, {}) for name in ("expert_0", "expert_1")]
    command = embedded.command(models, tmp_path, Ports(8123, 8124, 8125), "er_x_")
    assert [part for part in command if part.startswith("--load-model")] == [
        "--load-model=expert_0",
        "--load-model=expert_1",
    ]
    for kind, port in zip(PORTS, (8123, 8124, 8125), strict=True):
        assert f"--{kind}-address=127.0.0.1" in command
        assert f"--{kind}-port={port}" in command
    assert "--backend-config=python,shm-region-prefix-name=er_x_" in command
