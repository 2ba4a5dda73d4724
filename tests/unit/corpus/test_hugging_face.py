"""Prompts from Hugging Face, with the real `datasets` and without its servers."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_corpus import WORDS, sentence

from er import config
from er.corpus import collection as corpora
from er.errors import ConfigError, ErError

CARD = """---
configs:
- config_name: all
  data_files:
  - split: test
    path: all/test-*
---
"""


@pytest.fixture
def mmlu(tmp_path: Path) -> config.Corpus:
    """A folder laid out as a data set on the hub: a card, and one part as two Parquet files."""
    folder = tmp_path / "hub" / "mmlu"
    (folder / "all").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    for part, topics in enumerate((["law", "space"], ["cooking"])):
        rows = [(sentence(topic, n), topic) for topic in topics for n in range(20)]
        questions, subjects = zip(*rows, strict=True)
        table = pa.table({"question": questions, "subject": subjects})
        pq.write_table(table, folder / "all" / f"test-{part:05d}-of-00002.parquet")
    return config.Corpus(
        "mmlu", 0.5, 30, dataset=str(folder), subset="all", split="test",
        text_column="question", topic_column="subject",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` lets its reading threads end for five seconds, once a stream is left."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.0)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_OFFLINE=1 sets."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("offline")
def test_rows_are_drawn_from_all_files_and_cached(
    mmlu: config.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = corpora.load(mmlu, tmp_path / "cache")
    assert len(texts) == 30
    assert {text.topic for text in texts} == set(WORDS)
    written = {sentence(topic, n) for topic in WORDS for n in range(20)}
    assert {text.text for text in texts} <= written
    assert corpora.load(mmlu, tmp_path / "other") == texts
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert corpora.load(mmlu, tmp_path / "cache") == texts


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cais/mmlu"}, r"cannot read cais/mmlu .*\(is the internet reachable\? "),
        ({"subset": "none"}, r"'none' not found. Available: \['all'\] \(corpus=evals"),
        ({"split": "train"}, r"Bad split: train. Available splits: \['test'\]"),
        ({"topic_column": "field"}, "topic_column is field: the columns of .* question, subject"),
    ],
)
def test_a_data_set_that_cannot_be_read_is_named(
    mmlu: config.Corpus, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    with pytest.raises(ErError, match=message) as refused:
        corpora.load(replace(mmlu, **change), tmp_path)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ConfigError) == ("column" in "".join(change))
    assert not (tmp_path / "corpora").exists()


class Gated(BaseHTTPRequestHandler):
    """The hub's answer about a data set whose terms the user has not accepted."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("X-Error-Message", "Access to this data set is restricted.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gated_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that opens nothing."""
    with HTTPServer(("127.0.0.1", 0), Gated) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", url)
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("gated_hub")
def test_a_gated_data_set_is_named_as_such(mmlu: config.Corpus, tmp_path: Path) -> None:
    with pytest.raises(ErError, match=r"cannot read meta/secret .*gated dataset on the Hub"):
        corpora.load(replace(mmlu, dataset="meta/secret"), tmp_path)


def test_without_the_extra_it_is_named(
    mmlu: config.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ErError, match="install the extra `huggingface`"):
        corpora.load(mmlu, tmp_path)
