"""Readiness and metrics."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from er.gateway import metrics
from er.gateway.counts import Counts
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


async def test_metrics_of_many_experts_let_others_have_their_turn() -> None:
    counts = Counts()
    replicas: Any = [SimpleNamespace(slot=slot, cluster=slot) for slot in range(256)]
    turns = 0

    async def go_on() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.ensure_future(go_on())
    text = (await metrics.exposition(counts, "random", replicas)).decode()
    others.cancel()
    assert turns > 10
    assert text.count('er_gateway_usable{expert="') == 256
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found) == turns
