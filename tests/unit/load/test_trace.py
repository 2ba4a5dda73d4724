"""Common kinds of traces become plain arrivals; ambiguous ones are refused."""

import gzip
import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from er.errors import ErError
from er.load import trace
from er.load.inspect import describe, shape_of
from er.load.rows import rows
from er.load.trace import Arrival
from er.load.trace_kinds import Source

# Real rows, shortened: kind, unit of time in seconds, content; each holds 655/52 and then 70/1
# tokens, 2.5 s apart.
KNOWN = {
    "er": '{"time_s": 5, "input_tokens": 655, "output_tokens": 52}\n\n'
    '{"time_s": 7.5, "input_tokens": 70, "output_tokens": 1}\n',
    "Azure": "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,655,52\r\n2023-11-16 18:17:06.4799600,70,1",
    "Azure 2024": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 23:59:59+00:00,655,52\n2024-05-11 00:00:01.500000+00:00,70,1\n",
    "Azure LMM": "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
    "2025-01-01 00:00:00,1,655,52\n2025-01-01 00:00:02.5,0,70,1\n",
    "Mooncake": '{"timestamp": 3052, "input_length": 655, "output_length": 52, "hash_ids": [0]}\n'
    '{"timestamp": 5552, "input_length": 70, "output_length": 1, "hash_ids": [0]}\n',
    "Bailian": '{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 655, '
    '"output_length": 52, "type": "text", "turn": 1, "hash_ids": [1]}\n'
    '{"chat_id": 160, "parent_chat_id": -1, "timestamp": 63.614, "input_length": 70, '
    '"output_length": 1, "type": "text", "turn": 1, "hash_ids": [1]}\n',
    "aiperf delays": '{"delay": 5, "input_length": 655, "output_length": 52}\n'
    '{"delay": 2500, "input_length": 70, "output_length": 1}\n',
    "BurstGPT": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,655,52,707,Conversation log\n6,ChatGPT,18,0,18,Conversation log\n"
    "7.5,GPT-4,70,1,71,API log\n",
    "BurstGPT 3": "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,"
    "Total tokens,Log Type\n5,a,1.0,ChatGPT,655,52,707,x\n7.5,b,1.0,GPT-4,70,1,71,x\n",
    "spaces in the heading": "TIMESTAMP, ContextTokens, GeneratedTokens\n"
    "2023-11-16 18:17:03, 655, 52\n2023-11-16 18:17:05.5, 70, 1\n",
    "semicolons, decimals": "time_s;input_tokens;output_tokens\n5;655.0;52.0\n7.5;70.0;1.0\n",
}


def written(tmp_path: Path, name: str, content: str) -> Source:
    path = tmp_path / name
    path.write_text(content, newline="")
    return Source(path)


def require_both(source: Source, blocks: tuple[Any, ...] = ()) -> None:
    first, second = trace.read(source).arrivals
    assert (first.time_s, first.input_tokens, first.output_tokens) == (0.0, 655, 52)
    assert not blocks or (first.blocks, second.blocks) == blocks
    assert (second.input_tokens, second.output_tokens) == (70, 1)
    assert second.time_s == pytest.approx(2.5, abs=1e-6)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("file", ["a.jsonl", "a.CSV", "a"])
def test_every_known_kind_is_read_whatever_its_name(tmp_path: Path, name: str, file: str) -> None:
    require_both(written(tmp_path, file, KNOWN[name]))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_compressed_files_and_byte_order_marks_are_read(
    tmp_path: Path, name: str, mark: bytes
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(mark + KNOWN[name].encode()))
    require_both(Source(path))


GUIDELLM = (
    '{"timestamp": 1234500.5, "input_length": 655, "output_length": 52}\n'
    '{"timestamp": 1234503, "input_length": 70, "output_length": 1}\n'
)


def test_a_unit_is_never_guessed(tmp_path: Path) -> None:
    source = written(tmp_path, "a.jsonl", GUIDELLM)
    with pytest.raises(
        ErError, match=r"the unit of timestamp is not known .*load\.trace_unit=s\|ms"
    ):
        trace.read(source)
    require_both(Source(source.path, "s"))
    assert trace.read(Source(source.path, "ms")).arrivals[1].time_s == pytest.approx(0.0025)


def test_columns_can_be_named(tmp_path: Path) -> None:
    source = written(tmp_path, "a.csv", "when,in,out\n5,655,52\n7.5,70,1\n")
    with pytest.raises(
        ErError, match=r"a\.csv:2 has no time: call it one of .*load\.trace_columns"
    ):
        trace.read(source)
    columns = (("input_tokens", "in"), ("output_tokens", "out"), ("time", "when"))
    require_both(Source(source.path, "s", columns))
    with pytest.raises(ErError, match=r"has no whenever: load\.trace_columns takes"):
        trace.read(Source(source.path, "s", (("time", "whenever"),)))


def test_rows_without_tokens_and_unused_columns_are_told(tmp_path: Path) -> None:
    lines = describe(written(tmp_path, "a.csv", KNOWN["BurstGPT"]))
    assert lines[0].endswith("a.csv: BurstGPT trace, 2 rows over 2.5 s, 0.8 requests/s")
    assert "1 row without tokens left out" in lines
    assert lines[-1] == "columns that are not used: Model, Total tokens, Log Type"
    assert lines[1].startswith("input tokens: mean 362.5; min 70")


@pytest.mark.parametrize(
    "content",
    [
        "time_s,input_tokens,output_tokens\n0,5\n1,7,3\n2\n",
        '{"time_s": 0, "input_tokens": 5}\n{"time_s": 1, "input_tokens": 7, "output_tokens": 3}\n'
        '{"time_s": 2}\n',
    ],
    ids=["CSV", "JSON Lines"],
)
def test_counts_are_used_wherever_a_row_has_them(tmp_path: Path, content: str) -> None:
    found = trace.read(written(tmp_path, "a.txt", content))
    assert [(row.input_tokens, row.output_tokens) for row in found.arrivals] == [(7, 3)]
    assert found.without_tokens == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            "time_s,input_tokens,output_tokens,input_tokens\n1,2,3,4\n",
            ":1 names input_tokens twice",
        ),
        ("time_s,input_tokens\n1,2,3\n", ":2 has more values than the heading has names"),
        ('[{"time_s": 1}{"time_s": 2}]', ", entry 2, has no comma before it"),
        ('[{"time_s": 1}] {', " goes on after its JSON array"),
    ],
)
def test_a_file_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, content: str, reason: str
) -> None:
    source = written(tmp_path, "a.txt", content)
    with pytest.raises(ErError, match=re.escape(f"a.txt{reason}")):
        trace.read(source)


@pytest.mark.parametrize("path", ["/dev/zero", "/tmp"])
def test_what_has_no_end_is_not_read(path: str) -> None:
    with pytest.raises(ErError, match=rf"{path} is not a file"):
        trace.read(Source(Path(path)))


@pytest.mark.parametrize("count", ["abc", "-4", "1.5", "inf", "1e300"])
def test_a_row_whose_count_is_none_is_refused_by_its_line(tmp_path: Path, count: str) -> None:
    source = written(tmp_path, "a.csv", f"time_s,input_tokens,output_tokens\n1,2,3\n2,{count},3\n")
    with pytest.raises(ErError, match=rf"a\.csv:3 has '{count}' as input_tokens, no count"):
        trace.read(source)


@pytest.mark.parametrize("count", ["", "0", "0.0", "NaN", "null"])
def test_a_row_without_a_count_is_left_out(tmp_path: Path, count: str) -> None:
    source = written(tmp_path, "a.csv", f"time_s,input_tokens,output_tokens\n1,2,3\n2,{count},3\n")
    assert trace.read(source).without_tokens == 1


def test_the_first_rows_of_a_file_do(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "time_s\n" + "1\n2\nnot read\n").path
    assert len(trace.read(Source(path, rows=2)).arrivals) == 2


@pytest.mark.parametrize(
    ("start", "row", "end"),
    [
        (b"time_s,input_tokens,output_tokens\n", b"1,2,3\n", b""),
        (b"[", b'{"time_s": 1, "input_tokens": 2, "output_tokens": 3},\n', b"{}]"),
    ],
    ids=["CSV", "JSON array"],
)
def test_the_first_rows_of_a_large_file_take_no_memory_for_the_others(
    tmp_path: Path, start: bytes, row: bytes, end: bytes
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(start + row * 500_000 + end, 1))
    tracemalloc.start()
    try:
        assert len(trace.read(Source(path, rows=1000)).arrivals) == 1000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2e6


def test_an_array_is_read_whatever_its_layout(tmp_path: Path) -> None:
    entries = [{"time_s": at, "text": "x] }, {\n" * 9000 * (at == 2)} for at in range(5)]
    for indent, separators in ((None, (",", ":")), (None, None), (3, None)):
        content = json.dumps(entries, indent=indent, separators=separators)
        path = written(tmp_path, "a.json", f" \n\t{content}\n").path
        assert [fields for _, fields in rows(path)] == entries
    assert list(rows(written(tmp_path, "b.json", "[ ]").path)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"time_s": 1}, {"time_s": 2', "entry 2, is not JSON, or the file ends in it"),
        ('[{"time_s": 1},', "entry 2, is not JSON, or the file ends in it"),
        ("[", "entry 1, is not JSON, or the file ends in it"),
        ('[{"time_s": 1}, {time_s: 2}]', "entry 2, is not JSON"),
        ('[{"time_s": 1}, 3]', "entry 2, is not a JSON object"),
        ("[[1, 2], [3, 4]]", "entry 1, is not a JSON object"),
        ('[{"time_s": ' + "[" * 100_000, "entry 1, is not JSON"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ErError, match=message):
        list(rows(written(tmp_path, "a.json", content).path))


def test_parquet_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a"
    columns = {
        "timestamp": [5.0, 7.5],
        "chat_id": [1, 2],
        "input_length": [655, 70],
        "output_length": [52, 1],
        "hash_ids": [[1, 2], [1]],
    }
    parquet.write_table(pyarrow.table(columns), path)
    require_both(replace(Source(path)), blocks=((1, 2), (1,)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ErError, match=r"cannot read .*correct the file"):
        trace.read(Source(path, rows=1))


def test_shared_blocks_are_kept_and_described(tmp_path: Path) -> None:
    source = written(tmp_path, "a.jsonl", KNOWN["Mooncake"])
    assert [arrival.blocks for arrival in trace.read(source).arrivals] == [(0,), (0,)]
    lines = describe(source)
    assert lines[3].startswith("prompts share their beginnings in blocks of 512 tokens: 50.0% of")
    assert not any("not used" in line for line in lines)
    broken = written(tmp_path, "b.jsonl", KNOWN["Mooncake"].replace("[0]", '"x"'))
    with pytest.raises(ErError, match="has no list of whole numbers as hash_ids"):
        trace.read(broken)


@pytest.mark.parametrize(
    "rows",
    [
        '{"session_id": "a", "delay": 5, "text": "Hi"}\n',
        '{"session_id": "a", "timestamp": 5, "hash_ids": [1], "input_length": 3}\n'
        '{"session_id": "a", "delay": 5, "hash_ids": [1], "input_length": 3}\n',
    ],
    ids=["only delays", "the first with a time"],
)
def test_delays_within_sessions_are_no_arrivals(tmp_path: Path, rows: str) -> None:
    source = written(tmp_path, "a.jsonl", rows)
    with pytest.raises(ErError, match=r"follow answers, not a clock: .* play them with workload="):
        trace.read(source)


def test_prompts_without_their_length_are_times_only(tmp_path: Path) -> None:
    row = '{"timestamp": %d, "text_input": "Why?", "output_length": 5}\n'
    source = replace(written(tmp_path, "a.jsonl", row % 0 + row % 8), unit="ms")
    assert trace.read(source).arrivals == (Arrival(0.0, 0, 0), Arrival(0.008, 0, 0))
    assert describe(source)[-1] == "columns that are not used: text_input, output_length"


def test_a_picture_has_rate_and_lengths(tmp_path: Path) -> None:
    shape = shape_of(trace.read(written(tmp_path, "a.csv", KNOWN["BurstGPT"])))
    assert shape["edges_s"][-1] == 2.5
    rates = shape["requests_per_s"]
    assert (rates[0], sum(rates)) == (pytest.approx(40), pytest.approx(80))
    assert shape["input_tokens"][0] == 70
    assert shape["input_tokens"][100] == 655


def test_a_trace_can_be_out_of_order_and_without_counts(tmp_path: Path) -> None:
    source = written(tmp_path, "times.csv", "time_s\n30\n10\n20\n")
    assert trace.read(source).arrivals == tuple(Arrival(at_s, 0, 0) for at_s in (0.0, 10.0, 20.0))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "holds no arrivals"),
        ("a.jsonl", '{"when": 3}', r"a\.jsonl:1 has no time: call it one of time_s, TIMESTAMP"),
        (
            "a.jsonl",
            '{"text": "Hi"}',
            r"a\.jsonl:1 is a prompt, without a time: send it with workl",
        ),
        ("a.jsonl", '{"time_s": 3}\n{"time_s": "soon"}', r"a\.jsonl:2 has no readable time_s"),
        ("a.jsonl", '{"time_s": 3}\n{"t": 4}', r"a\.jsonl:2 has no readable time_s"),
        ("a.jsonl", '{"time_s": NaN}', r"a\.jsonl:1 has no readable time_s"),
        ("a.jsonl", '{"time_s": 3}\n[4]', r"a\.jsonl:2 is not a JSON object"),
        ("a.csv", "TIMESTAMP\n2023-11-16\n18:17\n", r"a\.csv:3 has no readable TIMESTAMP"),
        ("a.csv", "time_s,input_tokens,output_tokens\n3,7,0\n", "no row with .* of 1 or more"),
    ],
)
def test_a_bad_trace_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(ErError, match=message):
        trace.read(written(tmp_path, name, content))


def test_a_missing_trace_is_named(tmp_path: Path) -> None:
    for name in ("absent.csv", "absent.jsonl"):
        with pytest.raises(ErError, match=rf"cannot read .*{name}"):
            trace.read(Source(tmp_path / name))
