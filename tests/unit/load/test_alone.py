"""The load generator by itself, from its command line to its run directory."""

import asyncio
import itertools
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiktoken

from er.corpus import collection
from er.corpus.collection import Text
from er.errors import ConfigError, ErError
from er.load import alone, batches, prompts
from er.load import command as cli
from er.load.__main__ import main
from er.options import parse_arguments
from er.results.request import Endpoint
from er.results.request_table import RequestLog
from er.results.run_dir import RunDir, id_of
from er.tracking.publish import publish
from er.tracking.store import open_store
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, closed_port, event, stream

TRITON = "http://127.0.0.1:1/v2/models/ensemble/generate_stream"


@pytest.fixture(autouse=True)
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes as tokens and one text, instead of a vocabulary and a corpus to download."""
    encoding = tiktoken.Encoding(
        "bytes",
        pat_str=r"\S+|\s+",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)} | {b" and": 256},
        special_tokens={},
    )
    monkeypatch.setitem(prompts.TOKENIZERS, "llama3", lambda _: encoding)
    texts = [Text("One fine day. " * 99, "tales", "test")]
    monkeypatch.setattr(collection, "load", lambda *_: texts)
    for kept in ("_texts", "_built"):
        monkeypatch.setattr(batches, kept, {})


def drive(serve: Serve, tmp_path: Path, answer: Any, *overrides: str) -> tuple[RunDir, list[str]]:
    url = serve(answer).endpoint.url
    small = ["load.requests_per_user=1", "load.requests_at_least=3"]
    if not any(word.startswith("workload=") for word in overrides):
        small.append("workload.output.scale=0.01")
    endpoint, config = cli.request_of(
        parse_arguments(cli.COMMAND, [f"target={url}", f"runs_dir={tmp_path}", *small, *overrides])
    )
    lines: list[str] = []
    with alone.open_run(endpoint, config) as run:
        alone.measure_ladder(endpoint, config, run, lines.append)
    return run, lines


def test_every_point_is_written_and_printed(serve: Serve, tmp_path: Path) -> None:
    run, lines = drive(serve, tmp_path, stream, "load.concurrency=[1,3]", "load.client=sockets")
    assert [point.concurrency for point in run.points()] == [1, 3]
    assert run.read("run.json")["status"] == "finished"
    assert run.read("config.json")["target"]["url"].startswith("http://127.0.0.1:")
    frame = pd.read_parquet(run.path / "requests" / "c0003.parquet")
    assert (frame.ok & (frame.text != "")).all()
    rows = [line.split()[:3] for line in lines if line.split()[0].isdecimal()]
    assert rows == [["1", "3", "0"], ["3", "3", "0"]]


async def broken(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")


def test_a_broken_server_makes_invalid_points(serve: Serve, tmp_path: Path) -> None:
    turns = itertools.count()

    async def broken_at_times(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await (broken if next(turns) % 2 else stream)(body, writer)

    settings = ("load.concurrency=[1]", "load.requests_per_user=6")
    run, lines = drive(serve, tmp_path, broken_at_times, *settings)
    (point,) = run.points()
    assert any("requests failed" in reason and "HTTP 500" in reason for reason in point.invalid)
    assert any("requests failed" in line for line in lines)


def test_a_server_that_answers_nothing_ends_the_ladder(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(
        alone.NoAnswerError, match=r"answered no request well \(HTTP 500\): see its"
    ):
        drive(serve, tmp_path, broken, "load.concurrency=[1,2]")
    [path] = (tmp_path / "load").iterdir()
    assert [point.concurrency for point in RunDir(path).points()] == [1]
    assert RunDir(path).read("run.json")["status"] == "failed"


def test_requests_that_were_not_sent_are_reported(serve: Serve, tmp_path: Path) -> None:
    turns = itertools.count()

    async def soon_broken(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await (broken if next(turns) > 1 else stream)(body, writer)

    settings = ("load.concurrency=[1]", "load.requests_per_user=30", "load.client=sockets")
    run, _ = drive(serve, tmp_path, soon_broken, *settings)
    (point,) = run.points()
    left = 30 - point.requests
    assert left > 0
    assert f"{left} of 30 requests not sent: too many failed in a row" in point.invalid


def test_a_point_with_only_failures_has_no_other_reason(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(alone.NoAnswerError):
        drive(serve, tmp_path, broken, "load.concurrency=[3]", "load.client=sockets")
    [path] = (tmp_path / "load").iterdir()
    (point,) = RunDir(path).points()
    failed, *given_up = point.invalid
    assert failed.endswith(f"requests failed ({point.requests} x HTTP 500)")
    assert all("too many failed in a row" in reason for reason in given_up)


def test_without_a_server_nothing_is_published_or_drawn(tmp_path: Path) -> None:
    target = f"http://127.0.0.1:{closed_port()}/v2/models/m/generate_stream"
    settings = [f"runs_dir={tmp_path}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    with pytest.raises(alone.NoAnswerError, match=r"refused.*: start the server, or correct host"):
        cli.run_command([f"target={target}", "load.concurrency=[1,2]", *settings])
    assert [path.name for path in tmp_path.iterdir()] == ["load"]


@pytest.mark.parametrize(("tokens", "expected"), [(1, 0), (4, 1)])
def test_several_tokens_in_one_event_are_reported(
    serve: Serve, tmp_path: Path, tokens: int, expected: int
) -> None:
    async def together(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(event("x" * tokens)) * 3 + LAST_CHUNK)

    run, _ = drive(serve, tmp_path, together, "load.concurrency=[1]", "load.max_loop_lag_s=9")
    (point,) = run.points()
    reasons = [reason for reason in point.invalid if "an event holds 4.0 tokens" in reason]
    assert len(reasons) == expected


def test_a_slowed_client_makes_an_invalid_point(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestLog, "add", lambda *_: time.sleep(0.05))
    run, lines = drive(serve, tmp_path, stream, "load.concurrency=[4]", "load.client=aiohttp")
    (point,) = run.points()
    assert any("the load generator lagged" in reason for reason in point.invalid)
    assert any("set load.client=sockets" in line for line in lines)


def test_repeated_prompts_of_a_small_file_are_noted(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"text": "Why is it so?", "max_tokens": 2}\n{"text": "No.", "max_tokens": 2}\n'
    )
    words = ("workload=jsonl", f"workload.path={file}", "load.concurrency=[1]")
    run, lines = drive(serve, tmp_path, stream, *words)
    expected = "3 requests send the 2 prompts of workload.path again and again: a server"
    assert any(note.startswith(expected) for note in run.points()[0].notes)
    assert any(line.strip().startswith(expected) for line in lines)


def test_the_knee_is_written_and_printed(serve: Serve, tmp_path: Path) -> None:
    run, lines = drive(
        serve,
        tmp_path,
        broken,
        "load.find_knee=true",
        "load.concurrency=[1,2,4]",
        "load.ttft_at_most_s=30",
    )
    assert json.loads((run.path / "knee.json").read_text())["max_concurrency"] == 0
    assert lines[-1].startswith("most users with TTFT p95 <= 30 s and TPOT p95 <= 0.1 s: none (")


def test_a_run_can_be_published(serve: Serve, tmp_path: Path) -> None:
    run, _ = drive(serve, tmp_path, stream, "load.concurrency=[2]", "model=llama")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    run_id = publish(run, store)
    published = open_store(store).get_run(run_id)
    assert published.info.run_name.startswith("llama: http://127.0.0.1:")
    assert published.info.status == "FINISHED"
    assert "traffic/requests" in published.data.metrics
    assert published.data.params["load.client"] == "sockets"


def answer_to(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command line."""
    words = [*arguments, "load.concurrency=[1]", "workload.output.scale=0.01"]
    monkeypatch.setattr(sys, "argv", ["er.load", *words])
    before = signal.getsignal(signal.SIGTERM)
    try:
        return main()
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("status", [0, 1])
def test_the_exit_code_shows_whether_the_run_was_published(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    if status:
        monkeypatch.setattr(cli, "PUBLISH", ["false"])
    target = f"target={serve(stream).endpoint.url}"
    assert answer_to(monkeypatch, target, f"runs_dir={tmp_path}") == status
    (run,) = (tmp_path / "load").iterdir()
    record = RunDir(run).read("run.json")
    assert record["status"] == "finished"
    picture = tmp_path / "figures" / f"load-{id_of(record)[:8]}.png"  # beside those of other runs
    assert picture.exists() == (status == 0)


@pytest.mark.parametrize(
    ("store", "status", "message"),
    [
        ("a file/mlflow.db", 1, "Not a directory: repair or move it, set tracking.uri"),
        ("a file", 2, "is not an SQLite database: move it away"),
    ],
)
def test_an_unwritable_store_is_reported_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    store: str, status: int, message: str,
) -> None:  # fmt: skip
    (tmp_path / "a file").write_text("no store")
    uri = f"tracking.uri='sqlite:///{tmp_path}/{store}'"
    assert answer_to(monkeypatch, f"target={TRITON}", f"runs_dir={tmp_path}/runs", uri) == status
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_run_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"runs_dir is .*file'"):
        cli.request_of(
            parse_arguments(cli.COMMAND, [f"target={TRITON}", f"runs_dir={tmp_path}/file"])
        )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["load=trace", "load.trace=absent.csv"], r"cannot read absent\.csv"),
        (["workload.tokenizer=absent.json"], r"absent\.json is not a tokenizer\.json"),
    ],
)
def test_a_workload_that_cannot_be_sent_is_reported_before_the_run(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    target, config = cli.request_of(
        parse_arguments(cli.COMMAND, [f"target={TRITON}", f"runs_dir={tmp_path}", *overrides])
    )
    with pytest.raises(ErError, match=message):
        alone.open_run(target, config).__enter__()
    assert not list(tmp_path.iterdir())


def test_the_command_line_names_target_and_model() -> None:
    endpoint, config = cli.request_of(
        parse_arguments(cli.COMMAND, [f"target={TRITON}", "model=llama", "load.concurrency=[5]"])
    )
    assert endpoint == Endpoint(TRITON, "llama")
    assert config.load.concurrency == [5]


@pytest.mark.parametrize(
    "address",
    ["http://h:1/v1/chat/completions", "https://h/v1/completions", "http://[::1]:8/v1/completions"],
)
def test_a_slash_at_the_end_of_an_address_is_ignored(address: str) -> None:
    words = [f"target={address}/", "load.client=aiohttp"]
    endpoint, _ = cli.request_of(parse_arguments(cli.COMMAND, words))
    assert endpoint.url == address


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "no target: give target="),
        (["target=localhost"], "no target: give target="),
        ([f"target={TRITON}", "load.concurrency=[0]"], "give 1 to 1048576 users"),
        ([f"target={TRITON}", "+experiment=fig4"], "one target or file takes one load"),
        (
            ["target=http://h:1"],
            r"give http://h:1/v1/chat/completions or http://h:1/v1/completions",
        ),
        (["target=http://h:1/v1/"], r"give http://h:1/v1/chat/completions or"),
        (["target=http://h:99999/v1/completions"], r"Port out of range 0-65535: give http://host"),
        (["target=http://[::1/v1/completions"], r"Invalid IPv6 URL: give http://host"),
        (["target=http://a b/v1/completions"], r"it has white space: give http://host"),
        (["target=http://h:1/v1/completions", "load.client=grpc"], "client=grpc does not speak"),
        (["target=https://h:1/v1/completions", "load.client=sockets"], "client=sockets does not"),
    ],
)
def test_a_bad_command_line_is_refused_in_one_line(arguments: list[str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        cli.request_of(parse_arguments(cli.COMMAND, arguments))
