"""N users at once, who send their prompts as the load says."""

from collections.abc import Callable, Sequence

from er.config import Load, LoadClient
from er.errors import ErError
from er.load import workers
from er.load.effort import PointLoad
from er.load.plan import Plan
from er.load.worker import Job
from er.results import Endpoint, Prompt, Request

__all__ = ["PointLoad", "run_point"]


def run_point(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    users: int,
    load: Load,
    on_request: Callable[[Request], None],
) -> PointLoad:
    """Drive `endpoint` with `users` users; returns when every request has ended.

    When they send is `load.arrivals`: each request notes when it should have been sent and when it
    was, so that waiting inside the client is seen.

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
    if load.client is LoadClient.sockets:
        _require_plain_http(endpoint)
        processes = min(load.workers, users)
        plans = [Plan(prompts, users, load, at, processes) for at in range(processes)]
        for effort in workers.drive([Job(endpoint, plan, timeout_s) for plan in plans], keep):
            point.add(effort)
    else:
        from er.load import tasks  # here, so that plain sockets do without aiohttp's memory

        point.add(tasks.drive(endpoint, Plan(prompts, users, load), timeout_s, keep))
    return point


def _require_plain_http(endpoint: Endpoint) -> None:
    if not endpoint.url.startswith("http://"):
        raise ErError(
            f"load.client=sockets speaks plain HTTP, not {endpoint.url}: choose load.client=aiohttp"
        )
