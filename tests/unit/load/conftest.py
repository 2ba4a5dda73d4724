"""Fake servers, stopped with their test."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import tiktoken

from er.config import LoadClient
from er.corpus.tokenizer import LLAMA3_SPLIT
from er.load import prompts
from tests.unit.load import fakes
from tests.unit.load.fakes import Serve, in_thread


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a fake server in a thread."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(in_thread(answer))


@pytest.fixture
def small_tokenizer(monkeypatch: pytest.MonkeyPatch) -> tiktoken.Encoding:
    """Bytes and a few merges, split as Llama 3 splits: characters break across tokens."""
    merges = [b" t", b"he", b" the", b"\n\n", b".\n\n", b"in", b" a", b"an", b" an", b" and"]
    merges += ["🐙".encode()[:2], "🐙".encode()[:3], "、".encode()[:2]]
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {merge: 256 + rank for rank, merge in enumerate(merges)}
    encoding = tiktoken.Encoding(
        "small", pat_str=LLAMA3_SPLIT, mergeable_ranks=ranks, special_tokens={}
    )
    monkeypatch.setitem(prompts.TOKENIZERS, "small", lambda _: encoding)
    return encoding


@pytest.fixture(params=[LoadClient.aiohttp, LoadClient.sockets])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LoadClient:
    """Either client of HTTP: they have one behaviour."""
    monkeypatch.setitem(fakes.LOAD, "client", request.param)
    chosen: LoadClient = request.param
    return chosen
