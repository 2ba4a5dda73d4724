"""Traces of the known kinds become the same plain arrivals; bad lines are named."""

from pathlib import Path

import pytest

from er.errors import ErError
from er.load import trace
from er.load.trace import Arrival

OWN = (
    "own.jsonl",
    '{"time_s": 5, "input_tokens": 655, "output_tokens": 52}\n\n'
    '{"time_s": 7.5, "input_tokens": 70, "output_tokens": 1}\n',
)
AZURE = (
    "azure.csv",
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:17:03.9799600,655,52\n2023-11-16 18:17:06.4799600,70,1\n",
)
AZURE_OF_2024 = (
    "azure2024.csv",
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 23:59:59+00:00,655,52\n2024-05-11 00:00:01.500000+00:00,70,1\n",
)
MOONCAKE = (
    "mooncake.jsonl",
    '{"timestamp": 3052, "input_length": 655, "output_length": 52, "hash_ids": [0, 1]}\n'
    '{"timestamp": 5552, "input_length": 70, "output_length": 1, "hash_ids": [0]}\n',
)


def written(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


@pytest.mark.parametrize("file", [OWN, AZURE, AZURE_OF_2024, MOONCAKE], ids=lambda file: file[0])
def test_every_known_kind_is_read(tmp_path: Path, file: tuple[str, str]) -> None:
    first, second = trace.read(written(tmp_path, *file))
    assert first == Arrival(0.0, 655, 52)
    assert (second.input_tokens, second.output_tokens) == (70, 1)
    assert second.time_s == pytest.approx(2.5, abs=1e-6)


def test_a_trace_can_be_out_of_order_and_without_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "times.csv", "time_s\n30\n10\n20\n")
    assert trace.read(path) == tuple(Arrival(time_s, 0, 0) for time_s in (0.0, 10.0, 20.0))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "holds no arrivals"),
        ("a.jsonl", '{"when": 3}', r"a\.jsonl:1 has no time: call it one of time_s, TIMESTAMP"),
        ("a.jsonl", '{"time_s": 3}\n{"time_s": "soon"}', r"a\.jsonl:2 has no readable time_s"),
        ("a.jsonl", '{"time_s": 3}\n{"t": 4}', r"a\.jsonl:2 has no readable time_s"),
        ("a.jsonl", '{"time_s": NaN}', r"a\.jsonl:1 has no readable time_s"),
        ("a.jsonl", '{"time_s": 3}\n[4]', r"a\.jsonl:2 is not a JSON object"),
        ("a.csv", "TIMESTAMP\n2023-11-16\n18:17\n", r"a\.csv:3 has no readable TIMESTAMP"),
        ("a.csv", "time_s,input_tokens\n3,7\n", r"a\.csv:2 has no input_tokens and output_tokens"),
        ("a.csv", "time_s,input_tokens,output_tokens\n3,7,0\n", r"a\.csv:2 has no .* 1 or more"),
        (
            "a.jsonl",
            '{"time_s": 1}\n{"time_s": 3, "input_tokens": 1, "output_tokens": 1}',
            "on some lines only",
        ),
    ],
)
def test_a_bad_trace_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    with pytest.raises(ErError, match=says):
        trace.read(written(tmp_path, name, content))


def test_a_missing_trace_is_named(tmp_path: Path) -> None:
    for name in ("absent.csv", "absent.jsonl"):
        with pytest.raises(ErError, match=rf"cannot read .*{name}"):
            trace.read(tmp_path / name)
