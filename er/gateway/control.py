"""The control plane: readiness and metrics."""

from aiohttp import web

from er.gateway.relay import STATE
from er.gateway.state import State


async def ready(request: web.Request) -> web.Response:
    """200: the gateway listens only after its router has been loaded."""
    return web.json_response({"experts": len(request.app[STATE].experts)})


async def metrics(request: web.Request) -> web.Response:
    """Counts and times in Prometheus' text format."""
    return web.Response(text=exposition(request.app[STATE]))


def exposition(state: State) -> str:
    """Prometheus' text format, version 0.0.4."""
    lines = ["# TYPE er_gateway_requests_total counter"]
    for expert, count in enumerate(state.requests):
        lines.append(f'er_gateway_requests_total{{expert="{expert}"}} {count}')
    lines.append("# TYPE er_gateway_errors_total counter")
    for cause, count in sorted(state.errors.items()):
        lines.append(f'er_gateway_errors_total{{cause="{cause}"}} {count}')
    lines += [
        "# TYPE er_gateway_in_flight gauge",
        f"er_gateway_in_flight {state.in_flight}",
        "# TYPE er_gateway_classify_seconds summary",
        f"er_gateway_classify_seconds_sum {state.classify_s:.9f}",
        f"er_gateway_classify_seconds_count {state.classified}",
    ]
    return "\n".join(lines) + "\n"
