"""The gateway as a process of its own, for as long as a block of the story lasts."""

import errno
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from er import config
from er.errors import ConfigError, ErError
from er.gateway import descriptors, keys, tls, tokens
from er.gateway.paths import GENERATE_PATH, READY_PATH, in_url
from er.gateway.plan import Plan
from er.process import readiness
from er.process.group import running
from er.results.request import Endpoint

STOP_ALLOWANCE_S = 5.0


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
    require_free(gateway.port, gateway.host)
    port_file = run_dir / "gateway.port"
    port_file.unlink(missing_ok=True)
    plan_file = run_dir / "gateway.json"
    addresses = [[expert.url] for expert in experts]
    router_file = str(router) if router else ""
    plan = Plan(gateway, addresses, policy, router_file, seed, list(shares), str(port_file))
    plan.write(plan_file)
    command = [sys.executable, "-m", "er.gateway.process", str(plan_file)]
    log_path = run_dir / "logs" / "gateway.log"
    drain_s = gateway.timeouts.drain_s if isinstance(gateway, config.FastGateway) else 0.0
    stop_timeout_s = drain_s + STOP_ALLOWANCE_S
    with running(command, log_path, name="gateway", stop_timeout_s=stop_timeout_s) as child:

        def ready() -> bool:
            return port_file.exists() and readiness.answers(
                base(port_file, gateway.host) + READY_PATH
            )

        readiness.wait_until(ready, child, gateway.ready_timeout_s, "its router to load")
        yield Endpoint(base(port_file, gateway.host) + GENERATE_PATH, "ensemble")


def base(port_file: Path, host: str) -> str:
    """Address of the gateway that has written this file."""
    return f"http://{in_url(host)}:{port_file.read_text().strip()}"


def check(gateway: config.Gateway) -> None:
    """Raise ErError when the gateway cannot be started here, ConfigError for a file of it."""
    require_free(gateway.port, gateway.host)
    descriptors.require(gateway)
    if isinstance(gateway, config.FastGateway):
        if gateway.admin_port:
            require_free(gateway.admin_port, key="gateway.admin_port", zero="no administration")
        keys.read(gateway.api_keys_file)
        keys.read_admin(gateway)
        tls.context(gateway)
        tokens.limit(gateway.limits)


def require_free(
    port: int,
    host: str = "127.0.0.1",
    key: str = "gateway.port",
    zero: str = "any free port",
) -> None:
    """Raise ErError when the port that `key` configures cannot be opened, ConfigError for a host
    that is not this machine. `zero` is what the port 0 stands for."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise not_here(host, getattr(error, "strerror", None) or "no name") from error
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise not_here(host, "another machine") from error
            raise ErError(
                f"{key} {port} cannot be opened on {host} ({error.strerror}): "
                f"stop what uses it, or set {key}=0 for {zero}"
            ) from error


def not_here(host: str, reason: str) -> ConfigError:
    """An error that names a host at which nothing can listen here."""
    return ConfigError(
        f"gateway.host is '{host}' ({reason}): give an address of this machine, such as 127.0.0.1"
    )
