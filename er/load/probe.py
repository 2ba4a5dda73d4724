"""Measure a gateway's cost: send a prompt through it and directly to the expert that it chose."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

from er.config import Load
from er.load import client, loop
from er.results.request import Endpoint, Prompt, Request


def probe_pairs(
    gateway: Endpoint,
    experts: Sequence[Endpoint],
    prompts: Sequence[Prompt],
    pairs: int,
    load: Load,
) -> list[tuple[Request, Request]]:
    """Send `pairs` of requests for one token, (through the gateway, direct), one after the other.

    The paired difference of TTFT is the gateway's cost. The order within a pair alternates; when
    the direct request comes first, an uncounted one through the gateway shows the expert. A request
    that failed has an error, also when the gateway named no expert.
    """
    return loop.run(lambda: _probe_pairs(gateway, experts, prompts, pairs, load))


async def _probe_pairs(
    gateway: Endpoint,
    experts: Sequence[Endpoint],
    prompts: Sequence[Prompt],
    pairs: int,
    load: Load,
) -> list[tuple[Request, Request]]:
    measured = []
    async with client.opened(load.request_timeout_s) as sender:
        for endpoint in (gateway, *experts):
            await sender.connect(endpoint, 1)
        for index, prompt in enumerate(islice(cycle(prompts), pairs)):
            short = replace(prompt, output_tokens=1)
            through = await _send(sender, gateway, short, index)
            direct = await _send_to_expert(sender, experts, through.expert, short, index)
            if index % 2:
                through = await _send(sender, gateway, short, index)
            measured.append((through, direct))
    return measured


async def _send_to_expert(
    sender: client.Client, experts: Sequence[Endpoint], expert: int, prompt: Prompt, index: int
) -> Request:
    """Send the direct request; it has an error if the gateway did not name one of `experts`."""
    if 0 <= expert < len(experts):
        return await _send(sender, experts[expert], prompt, index)
    request = _request(prompt, index)
    request.error = "the gateway named no expert"
    return request


async def _send(sender: client.Client, endpoint: Endpoint, prompt: Prompt, index: int) -> Request:
    request = _request(prompt, index)
    await sender.send(endpoint, prompt, request)
    return request


def _request(prompt: Prompt, index: int) -> Request:
    return Request(
        concurrency=1,
        user=0,
        index=index,
        warmup=False,
        topic=prompt.topic,
        input_tokens=prompt.input_tokens,
        max_tokens=prompt.output_tokens,
        send_s=0.0,
    )
