"""Drive the users of one point with the client that the load names."""

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

    `load.arrivals` decides when they send (`er.load.plan.Plan`). Each request records when it was
    due and when it was sent, so that waiting inside the client shows. `steps` are command lines
    that each start a command on another node; with them, the users are there (load.client=sockets).

    `on_request` gets each request as it ends, so that an interrupted point keeps what has ended. A
    fault of the server is an error of its request and is not raised; after as many faults in a row
    as there are users, all users give up.

    Raises ErError without prompts, or with fewer conversations than users in a closed loop;
    when interrupted, KeyboardInterrupt or what the caller's signal handler raises.
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
        from er.load import tasks  # imported only here: it takes memory that sockets do not need

        descriptors.allow_most()
        opening = _opening(endpoint, load)
        point.add(tasks.drive(endpoint, Plan(prompts, concurrency, load), opening, keep))
    return point


def check(endpoint: Endpoint, load: Load, concurrency: int) -> None:
    """Raise ConfigError for what would make every request to `endpoint` fail."""
    _require_protocol(endpoint, load.client)
    credentials.check(load)
    descriptors.check(load, concurrency)
    if load.client is LoadClient.grpc:  # its library reads the proxy variables itself
        return
    if proxies.proxy_for(endpoint.url) and load.client is LoadClient.sockets:
        host = urlsplit(endpoint.url).hostname
        raise ConfigError(
            f"the environment names a proxy for {host}, and load.client=sockets goes through none: "
            f"set no_proxy={host} to go directly, or load.client=aiohttp"
        )


def _require_protocol(endpoint: Endpoint, client: LoadClient) -> None:
    """Raise ConfigError unless the client can speak the protocol of `endpoint`."""
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
    """What opens the client that the load names, and closes it afterwards."""
    if load.client is LoadClient.grpc:
        from er.load import triton_grpc

        return triton_grpc.opened(load.request_timeout_s, endpoint)
    from er.load import client as http_client

    proxy = proxies.proxy_for(endpoint.url)
    return http_client.opened(load.request_timeout_s, proxy, tls_verify=load.tls_verify)
