"""The gateway before two experts of a real Triton."""

import asyncio
import json
import urllib.error
import urllib.request

import aiohttp
import psutil
import pytest

from er import config
from er.compose import plan
from er.engine.kinds import models
from er.gateway.serve import serve as serve_gateway
from er.routing import clusters
from er.routing.router import load, save
from er.server.embedded import serve as serve_triton
from tests.standins.waiting import until

pytestmark = pytest.mark.embedded

LAW, COOKING = "plaintiff court contract liable", "oven butter flour simmer"


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    """A router of two experts, and where it lies."""
    texts = [f"{words} {word}" for words in (LAW, COOKING) for word in words.split()]
    routing = config.Routing("test", 2, 2, False, 1, 1.0, 1, False)
    path = tmp_path_factory.mktemp("router") / "router.npz"
    save(clusters.fit(texts, routing, seed=0, metadata={}), path)
    return load(path), path


@pytest.fixture(scope="module")
def served(router, tmp_path_factory):
    """The gateway's endpoint and its experts'."""
    run_dir = tmp_path_factory.mktemp("run")
    [job] = plan(["deployment=e", "deployment.experts=2", "engine.max_batch_size=2"])
    with (
        serve_triton(models(job), job.server, run_dir) as experts,
        serve_gateway(router[1], experts, job.gateway, run_dir) as gateway,
    ):
        yield gateway, experts


def test_both_experts_answer_through_the_gateway(router, served):
    gateway, _ = served
    for text in (LAW, COOKING):
        body = json.dumps({"text_input": text, "max_tokens": 5, "stream": True}).encode()
        with urllib.request.urlopen(gateway.url, body, timeout=60) as response:
            assert response.headers["x-er-expert"] == str(router[0].classify(text))
            assert response.headers.get_content_type() == "text/event-stream"
            assert response.read().count(b"data: ") == 5
    assert {router[0].classify(text) for text in (LAW, COOKING)} == {0, 1}


def test_events_name_the_model_of_the_chosen_expert(router, served, stream):
    gateway, experts = served
    through = stream(gateway, LAW, 7)
    direct = stream(experts[router[0].classify(LAW)], LAW, 7)
    for one, other in zip(through.events, direct.events, strict=True):
        assert one.keys() == other.keys()
        assert one["model_name"] == other["model_name"]


def test_an_error_of_triton_reaches_the_client_unchanged(router, served):
    gateway, experts = served
    body = json.dumps({"text_input": LAW, "max_tokens": "many"}).encode()
    answers = []
    for endpoint in (gateway, experts[router[0].classify(LAW)]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(endpoint.url, body, timeout=60)
        with refused.value as response:
            answers.append((response.code, response.read()))
    assert answers[0] == answers[1]
    assert b"error" in answers[0][1]


async def test_a_client_that_leaves_frees_its_place_in_the_gateway(router, served):
    gateway, _ = served
    in_flight = f'er_gateway_in_flight{{expert="{router[0].classify(COOKING)}"}}'
    metrics = gateway.url.replace("/v2/models/ensemble/generate_stream", "/metrics")
    async with aiohttp.ClientSession() as session:
        body = {"text_input": COOKING, "max_tokens": 1000, "stream": True}
        async with session.post(gateway.url, json=body) as response:
            await response.content.readline()
            async with session.get(metrics) as page:
                assert f"{in_flight} 1" in await page.text()
            response.close()

        async def is_free() -> bool:
            async with session.get(metrics) as page:
                return f"{in_flight} 0" in await page.text()

        await until(is_free)


async def test_clients_that_leave_free_their_places_in_triton(served):
    """Two fill the batch of an expert, the third waits there for its first token."""
    gateway, _ = served

    async def ask(session, max_tokens):
        body = {"text_input": LAW, "max_tokens": max_tokens, "stream": True}
        async with session.post(gateway.url, json=body) as response:
            return (await response.read()).count(b"data: ")

    async with aiohttp.ClientSession() as session:
        leaving = [asyncio.create_task(ask(session, 3600)) for _ in range(3)]
        await asyncio.sleep(0.5)
        for task in leaving:
            task.cancel()
        assert await asyncio.wait_for(ask(session, 2), 50) == 2


def test_readiness_needs_an_inference_and_the_openai_api_reaches_triton(served):
    gateway, _ = served
    origin = gateway.url.partition("/v2/")[0]
    with urllib.request.urlopen(origin + "/ready", timeout=60) as response:
        assert json.load(response) == {"experts": 2, "policy": "kmeans"}
    body = {"messages": [{"role": "user", "content": LAW}], "max_tokens": 5, "stream": True}
    request = json.dumps(body).encode()
    with urllib.request.urlopen(origin + "/v1/chat/completions", request, timeout=60) as response:
        events = response.read().decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    pieces = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events[:-1]]
    assert sum("content" in piece["delta"] for piece in pieces) == 5
    assert pieces[-1]["finish_reason"] == "length"


def test_a_triton_that_is_killed_ends_its_streams_with_an_error_event(router, served):
    """The last test here: nothing answers afterwards."""
    gateway, _ = served
    body = json.dumps({"text_input": LAW, "max_tokens": 1000, "stream": True}).encode()
    with urllib.request.urlopen(gateway.url, body, timeout=60) as response:
        assert response.readline().startswith(b"data: ")
        servers = [
            process
            for process in psutil.Process().children(recursive=True)
            if process.name() == "tritonserver"
        ]
        assert servers
        for server in servers:
            server.kill()
        last = response.read().strip().split(b"\n\n")[-1]
    chosen = router[0].classify(LAW)
    assert json.loads(last.removeprefix(b"data: ")) == {
        "error": f"expert {chosen} broke off its stream"
    }
    ready = gateway.url.partition("/v2/")[0] + "/ready"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(ready, timeout=60)
    with refused.value as response:
        assert response.code == 503
        assert json.load(response)["problems"].keys() == {"0", "1"}
