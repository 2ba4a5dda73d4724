"""Fake servers, stopped with their test."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.unit.load.fakes import Serve, in_thread


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a fake server in a thread."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(in_thread(answer))
