"""Fixtures of the tests on a real Triton."""

import json
import urllib.request
from typing import Any

import pytest

from er.results.request import Endpoint


@pytest.fixture(scope="session")
def stream() -> "type[Stream]":
    """A client of generate_stream."""
    return Stream


class Stream:
    """One answer of generate_stream, read to its end."""

    def __init__(self, endpoint: Endpoint, text: str, max_tokens: int, **more: Any) -> None:
        body = {"text_input": text, "max_tokens": max_tokens, "stream": True, **more}
        request = urllib.request.Request(endpoint.url, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as response:
            lines = response.read().decode().splitlines()
        self.events = [json.loads(line.removeprefix("data: ")) for line in lines if line]

    @property
    def texts(self) -> list[str]:
        """The text of every event."""
        return [event["text_output"] for event in self.events]
