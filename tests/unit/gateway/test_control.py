"""Readiness and metrics."""

from aiohttp import web

from er.routing.router import Router
from tests.unit.gateway.conftest import TOPICS, Expert, Start, event


async def one_token(_: web.Request, response: web.StreamResponse) -> None:
    await response.write(event("one"))


async def test_a_running_gateway_is_ready(start: Start) -> None:
    gateway = await start(Expert(one_token))
    assert await gateway.get("/v2/health/ready") == (
        200,
        '{"experts": 2, "policy": "kmeans"}',
    )


async def test_metrics_count_requests_by_expert(start: Start, router: Router) -> None:
    gateway = await start(Expert(one_token))
    for text in [TOPICS["law"]] * 3 + [TOPICS["cooking"]]:
        async with gateway.ask(text) as response:
            await response.read()
    status, text = await gateway.get("/metrics")
    lines = text.replace(".0\n", "\n").splitlines()
    assert status == 200
    assert f'er_gateway_requests_total{{expert="{router.classify(TOPICS["law"])}"}} 3' in lines
    assert f'er_gateway_requests_total{{expert="{router.classify(TOPICS["cooking"])}"}} 1' in lines
    assert 'er_gateway_info{policy="kmeans"} 1' in lines
    assert 'er_gateway_in_flight{expert="0"} 0' in lines
    assert "er_gateway_choose_seconds_count 4" in lines
    seconds = [line.split()[1] for line in lines if line.startswith("er_gateway_choose_seconds_s")]
    assert float(seconds[0]) > 0
