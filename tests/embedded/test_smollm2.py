"""A real language model behind the same contract: readable English, one event per token."""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from er.config import Server
from er.engine import smollm2
from er.results.request import Endpoint, ServedModel
from er.server import embedded

pytestmark = pytest.mark.embedded

QUESTION = "What is the capital of France? Answer in one sentence."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def endpoint(folder: Path) -> Iterator[Endpoint]:
    parameters = {
        "gguf": str(smollm2.weights(Path(".cache"))),
        "sequences": "2",
        "max_seq_len": "256",
        "threads": "1",
    }
    model = ServedModel("ensemble", smollm2.IMPLEMENTATION, 0, parameters, 4)
    with embedded.serve([model], Server("embedded", 60, 15, 0, 0, 0), folder) as (endpoint,):
        yield endpoint


def test_the_answer_is_readable_english(endpoint: Endpoint, stream: Any) -> None:
    text = "".join(stream(endpoint, QUESTION, 40).texts)
    assert "Paris" in text
    words = re.findall(r"[A-Za-z']+", text)
    assert len(set(words)) >= 5
    assert text.isascii()
    assert text.rstrip().endswith(".")


def test_one_event_per_token_and_no_more_than_asked(endpoint: Endpoint, stream: Any) -> None:
    texts = stream(endpoint, "Tell me a long story about a ship.", 24).texts
    assert len(texts) == 24
    assert all(len(text.split()) <= 1 for text in texts)


def test_without_an_end_an_answer_has_all_tokens_asked_for(endpoint: Endpoint, stream: Any) -> None:
    assert len(stream(endpoint, QUESTION, 120).texts) < 60
    assert len(stream(endpoint, QUESTION, 120, end_id=-1).texts) == 120
    emojis = "Repeat this emoji for ever: 🐹🐹🐹"
    for tokens in (7, 8, 9):  # the last may be half a character
        assert len(stream(endpoint, emojis, tokens, end_id=-1, temperature=0.0).texts) == tokens


def test_tokens_that_are_parts_of_a_character_are_counted(endpoint: Endpoint, stream: Any) -> None:
    prompt = "Write three emojis: 🐍🦀🐹. Repeat them exactly, and say 世界."
    texts = stream(endpoint, prompt, 9, temperature=0.0).texts
    assert "".join(texts) == "🐍🦀🐹"
    assert texts == ["", "", "🐍", "", "", "🦀", "", "", "🐹"]


def test_same_seed_same_text(endpoint: Endpoint, stream: Any) -> None:
    hot = {"temperature": 1.5, "top_p": 1.0}
    first, again = (stream(endpoint, "Tell a story.", 16, random_seed=1, **hot) for _ in range(2))
    other = stream(endpoint, "Tell a story.", 16, random_seed=2, **hot)
    assert first.texts == again.texts != other.texts


def test_stop_and_bad_words(endpoint: Endpoint, stream: Any) -> None:
    plain = "".join(stream(endpoint, QUESTION, 40).texts)
    assert "capital" in plain
    stopped = "".join(stream(endpoint, QUESTION, 40, stop_words=["Paris"]).texts)
    assert "capital" in stopped
    assert "Paris" not in stopped
    barred = "".join(stream(endpoint, QUESTION, 40, bad_words=[" Paris", "Paris"]).texts)
    assert "Paris" not in barred


def test_without_streaming_one_event_has_all_the_text(endpoint: Endpoint, stream: Any) -> None:
    (text,) = stream(endpoint, QUESTION, 40, stream=False).texts
    assert text == "".join(stream(endpoint, QUESTION, 40).texts)


@pytest.mark.parametrize(
    ("text", "max_tokens", "cause"),
    [("word " * 400, 4, "exceeds the available context size"), ("Hello", 0, "max_tokens is 0")],
)
def test_what_cannot_be_answered_is_an_error(
    endpoint: Endpoint, text: str, max_tokens: int, cause: str
) -> None:
    status, body = post(endpoint, text, max_tokens)
    assert cause in body
    assert status == 400 or '"error"' in body


def test_more_requests_than_sequences_are_all_answered(endpoint: Endpoint, stream: Any) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append("".join(stream(endpoint, QUESTION, 40).texts))
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 5
    assert all("Paris" in answer for answer in answers)


def test_a_client_that_leaves_ends_the_generation(endpoint: Endpoint, folder: Path) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=60)
    connection.request("POST", urlsplit(endpoint.url).path, body_of("Count to 200.", 200))
    connection.getresponse().read(10)
    connection.close()
    log = folder / "logs" / "triton.log"
    while not (left := re.search(r"the client left after (\d+) tokens", log.read_text())):
        time.sleep(0.05)
    assert 1 <= int(left[1]) < 200


def body_of(text: str, max_tokens: int) -> bytes:
    return json.dumps({"text_input": text, "max_tokens": max_tokens, "stream": True}).encode()


def post(endpoint: Endpoint, text: str, max_tokens: int) -> tuple[int, str]:
    url = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("POST", url.path, body_of(text, max_tokens))
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body
