"""The simulated engine in a real Triton: tokens, batching in real time, cancellation, errors."""

import asyncio
import json
import time

import aiohttp
import pytest

from er.compose import plan
from er.engine.kinds import models
from er.server.embedded import serve

pytestmark = pytest.mark.embedded
PROMPT = "word " * 200


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """One engine that batches at most two requests."""
    [config] = plan(["deployment=b", "engine.max_batch_size=2"])
    with serve(models(config), config.server, tmp_path_factory.mktemp("run")) as [endpoint]:
        yield endpoint.url


async def ask(session, url, **body):
    """Status, events and the time of each."""
    events, times = [], []
    start = time.monotonic()
    async with session.post(url, json=body) as reply:
        async for line in reply.content:
            if line.startswith(b"data:"):
                events.append(json.loads(line[5:]))
                times.append(time.monotonic() - start)
        return reply.status, events, times


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        yield session


@pytest.mark.parametrize("max_tokens", [1, 2, 17])
async def test_as_many_tokens_as_asked_each_with_its_lateness(url, session, max_tokens):
    status, events, _ = await ask(
        session, url, text_input=PROMPT, max_tokens=max_tokens, stream=True
    )
    assert status == 200
    assert len(events) == max_tokens
    assert all(event["text_output"].strip() for event in events)
    assert all("token_lateness" not in event for event in events[:-1])
    lateness = events[-1]["token_lateness"]
    assert len(lateness if max_tokens > 1 else [lateness]) == max_tokens


async def test_every_optional_input_of_the_contract_is_taken(url, session):
    optional = {
        "bad_words": ["bad"],
        "stop_words": ["stop", "halt"],
        "temperature": 0.5,
        "top_p": 0.9,
        "random_seed": 7,
        "end_id": 2,
        "return_perf_metrics": True,
    }
    _, events, _ = await ask(
        session, url, text_input="Hello", max_tokens=3, stream=True, **optional
    )
    assert len(events) == 3


async def test_without_stream_the_whole_text_comes_at_once(url, session):
    _, [event], _ = await ask(session, url, text_input="Hello", max_tokens=5)
    assert len(event["text_output"].split()) == 5


async def test_two_share_the_batch_and_a_third_waits_for_a_place(url, session):
    body = {"text_input": PROMPT, "max_tokens": 60, "stream": True}
    answers = await asyncio.gather(*(ask(session, url, **body) for _ in range(3)))
    first, second, third = sorted((times[0], times[-1]) for _, _, times in answers)
    assert second[0] < first[1], "the second must start before the first ends"
    assert third[0] > min(first[1], second[1]), "the third must wait until a place is free"


async def test_a_cancelled_request_gives_its_place_away(url, session):
    body = {"text_input": PROMPT, "max_tokens": 3600, "stream": True}  # more than a minute
    long = [asyncio.create_task(ask(session, url, **body)) for _ in range(2)]
    await asyncio.sleep(0.3)
    for task in long:
        task.cancel()
    _, events, _ = await asyncio.wait_for(
        ask(session, url, text_input=PROMPT, max_tokens=2, stream=True), 50
    )
    assert len(events) == 2


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({"text_input": "", "max_tokens": 3}, "0 input tokens"),
        ({"text_input": "Hello", "max_tokens": 0}, "must be above 0"),
        ({"text_input": "Hello", "max_tokens": -4}, "must be above 0"),
        ({"text_input": "Hello", "max_tokens": 5000}, "max_seq_len 4096"),
    ],
)
async def test_a_bad_request_is_refused_and_the_next_one_served(url, session, body, output):
    status, events, _ = await ask(session, url, stream=True, **body)
    assert status == 400
    assert output in events[-1]["error"]
    _, events, _ = await ask(session, url, text_input="Hello", max_tokens=1, stream=True)
    assert "error" not in events[-1]
