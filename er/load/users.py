"""N users at once, who send their prompts as the load says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from er.config import Load, LoadClient
from er.errors import ConfigError, ErError
from er.load import credentials, descriptors, proxies, workers
from er.load.effort import PointLoad
from er.load.plan import Plan
from er.load.worker import Job
from er.results.request import Endpoint, Prompt, Request

if TYPE_CHECKING:
    from er.load import tasks

__all__ = ["PointLoad", "check", "run_point"]


def run_point(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    concurrency: int,
    load: Load,
    on_request: Callable[[Request], None],
    steps: Sequence[Sequence[str]] = (),
) -> PointLoad:
    """Drive `endpoint` with `concurrency` users; returns when every request has ended.

    When they send is `load.arrivals`: each request notes when it should have been sent and when it
    was, so that waiting inside the client is seen.

    With `steps`, which each start a command on another node, the users are there
    (load.client=sockets).

    Measured requests send `prompts` in their order, from the start again when they run out;
    warm-up requests send them from the end backwards. `on_request` gets each request as it ends,
    so an interrupted point keeps what was completed. A fault of the server is an error of its
    request, never raised; after a fault each in a row the users give up and the point is short.
    Raises ErError without prompts, or conversations for all users; KeyboardInterrupt or what the
    caller's own signal handler raises when interrupted.
    """
    if not prompts:
        raise ErError("no prompts to send: build at least one")
    point = PointLoad(busy=load.always_busy)

    def keep(request: Request) -> None:
        point.requests.append(request)
        on_request(request)

    timeout_s = load.request_timeout_s
    check(endpoint, load, concurrency)
    endpoint = replace(endpoint, headers=tuple(load.headers.items()))
    if load.client is LoadClient.sockets:
        processes = workers.processes_for(concurrency, load.workers, len(steps))
        plans = [Plan(prompts, concurrency, load, at, processes) for at in range(processes)]
        jobs = [Job(endpoint, plan, timeout_s) for plan in plans]
        efforts, point.clocks = workers.drive(jobs, keep, steps)
        for effort in efforts:
            point.add(effort)
    else:
        from er.load import tasks  # here, so that plain sockets do without its memory

        descriptors.allow_most()
        opening = _opening(endpoint, load)
        point.add(tasks.drive(endpoint, Plan(prompts, concurrency, load), opening, keep))
    return point


def check(endpoint: Endpoint, load: Load, concurrency: int) -> None:
    """Raise ConfigError for what would make every request to `endpoint` fail."""
    _require_speaks(endpoint, load.client)
    credentials.check(load)
    descriptors.check(load, concurrency)
    if load.client is LoadClient.grpc:  # its library reads the environment itself
        return
    if proxies.proxy_for(endpoint.url) and load.client is LoadClient.sockets:
        host = urlsplit(endpoint.url).hostname
        raise ConfigError(
            f"the environment names a proxy for {host}, and load.client=sockets goes through none: "
            f"set no_proxy={host} to go directly, or load.client=aiohttp"
        )


def _require_speaks(endpoint: Endpoint, client: LoadClient) -> None:
    schemes = {LoadClient.aiohttp: ("http", "https"), LoadClient.sockets: ("http",)}
    spoken = {name for name, known in schemes.items() if urlsplit(endpoint.url).scheme in known}
    if endpoint.grpc_address:
        spoken.add(LoadClient.grpc)
    if client not in spoken:
        raise ConfigError(
            f"load.client={client.value} does not speak {endpoint.url}: choose load.client="
            + " or ".join(sorted(name.value for name in spoken))
        )


def _opening(endpoint: Endpoint, load: Load) -> "tasks.Opening":
    if load.client is LoadClient.grpc:
        from er.load import triton_grpc

        return triton_grpc.opened(load.request_timeout_s, endpoint)
    from er.load import client as http_client

    proxy = proxies.proxy_for(endpoint.url)
    return http_client.opened(load.request_timeout_s, proxy, tls_verify=load.tls_verify)
