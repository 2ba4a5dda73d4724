"""The gateway as a process of its own, for as long as a block of the story lasts."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from er import config
from er.errors import ErError
from er.gateway.paths import GENERATE_PATH, READY_PATH
from er.process import readiness
from er.process.group import running
from er.results.request import Endpoint

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 5.0


@contextmanager
def serve(
    router: Path | None,
    experts: Sequence[Endpoint],
    gateway: config.Gateway,
    run_dir: Path,
    policy: config.Policy = config.Policy.kmeans,
    seed: int = 0,
    shares: Sequence[float] = (),
) -> Iterator[Endpoint]:
    """Run the gateway before `experts`.

    `router` is for the policy kmeans, `seed` and `shares` are for random.

    Its output goes to `run_dir/logs/gateway.log`, the port it has opened to `run_dir/gateway.port`.

    Raises ErError, before anything is started, when the configured port is busy, and when the
    gateway does not become ready.
    """
    require_free(gateway.port)
    port_file = run_dir / "gateway.port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "er.gateway", *([str(router)] if router else [])]
    command += ["--policy", policy.value, "--seed", str(seed)]
    command += ["--shares", *map(str, shares)] if shares else []
    command += ["--host", HOST, "--port", str(gateway.port), "--port-file", str(port_file)]
    for expert in experts:
        command += ["--expert", expert.url]
    log_path = run_dir / "logs" / "gateway.log"
    with running(command, log_path, name="gateway", stop_timeout_s=STOP_TIMEOUT_S) as child:

        def ready() -> bool:
            return port_file.exists() and readiness.answers(base(port_file) + READY_PATH)

        readiness.wait_until(ready, child, gateway.ready_timeout_s, "its router to load")
        yield Endpoint(base(port_file) + GENERATE_PATH, "ensemble")


def base(port_file: Path) -> str:
    """Address of the gateway that has written this file."""
    return f"http://{HOST}:{port_file.read_text().strip()}"


def require_free(port: int) -> None:
    """Raise ErError when a configured port cannot be opened."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ErError(
                f"gateway.port {port} cannot be opened on {HOST} ({error.strerror}): "
                "stop what uses it, or set gateway.port=0 for any free port"
            ) from error
