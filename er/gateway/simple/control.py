"""The control plane: readiness and metrics."""

from aiohttp import web

from er.gateway.simple.relay import STATE
from er.gateway.simple.state import State


async def ready(request: web.Request) -> web.Response:
    """200: the gateway listens only after its router has been loaded."""
    state = request.app[STATE]
    return web.json_response({"experts": len(state.experts), "policy": state.policy.value})


async def metrics(request: web.Request) -> web.Response:
    """Counts and times in Prometheus' text format."""
    return web.Response(text=exposition(request.app[STATE]))


def exposition(state: State) -> str:
    """Prometheus' text format, version 0.0.4."""
    lines = ["# TYPE er_gateway_info gauge", f'er_gateway_info{{policy="{state.policy.value}"}} 1']
    lines.append("# TYPE er_gateway_requests_total counter")
    for expert, count in enumerate(state.requests):
        lines.append(f'er_gateway_requests_total{{expert="{expert}"}} {count}')
    lines.append("# TYPE er_gateway_in_flight gauge")
    for expert, count in enumerate(state.in_flight):
        lines.append(f'er_gateway_in_flight{{expert="{expert}"}} {count}')
    lines.append("# TYPE er_gateway_errors_total counter")
    for cause, count in sorted(state.errors.items()):
        lines.append(f'er_gateway_errors_total{{cause="{cause}"}} {count}')
    lines += [
        "# TYPE er_gateway_choose_seconds summary",
        f"er_gateway_choose_seconds_sum {state.choose_s:.9f}",
        f"er_gateway_choose_seconds_count {sum(state.requests)}",
    ]
    return "\n".join(lines) + "\n"
