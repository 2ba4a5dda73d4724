"""Servers that answer with fewer or more tokens than asked for, through the load generator."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from er.results.point import Point
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event
from tests.unit.load.test_alone import drive, small_corpus

__all__ = ["small_corpus"]
WORKLOAD = ["workload=fixed", "workload.input_tokens=8", "workload.output_tokens=5"]
# Answers in no time: what this says of the load generator is not looked at.
QUIET = ["load.max_loop_lag_s=9", "load.arrivals=burst", "load.burst_every_s=0.05"]
LOAD = ["load.concurrency=[1]", "load.client=sockets", *QUIET]


def measured(serve: Serve, folder: Path, texts: list[str], *overrides: str) -> tuple[Point, Any]:
    bodies = []

    async def answer(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        bodies.append(body)
        writer.write(HEAD)
        for text in texts:
            writer.write(chunk(event(text)))
            await asyncio.sleep(0.005)
        writer.write(LAST_CHUNK)

    run, _ = drive(serve, folder, answer, *WORKLOAD, *LOAD, *overrides)
    (point,) = run.points()
    return point, bodies


@pytest.mark.parametrize(
    ("texts", "shorter", "longer"),
    [
        (["t"] * 5, 0, 0),
        (["t"] * 5 + [""], 0, 0),  # an empty event tells the end
        (["t"] * 3 + [""], 3, 0),  # the model ended by itself
        (["t"] * 4, 3, 0),
        (["t"] * 6, 0, 3),
    ],
)
def test_one_answer_of_a_wrong_length_makes_the_point_invalid(
    serve: Serve, tmp_path: Path, texts: list[str], shorter: int, longer: int
) -> None:
    point, bodies = measured(serve, tmp_path, texts)
    assert {body["end_id"] for body in bodies} == {-1}
    assert (point.short_answers, point.long_answers) == (shorter, longer)
    message = [f"({shorter} shorter, {longer} longer)"] * (shorter + longer > 0)
    assert [reason for reason in point.invalid if message and message[0] in reason] == point.invalid
    assert len(point.invalid) == len(message)


def test_answers_that_may_end_by_themselves_are_counted_as_they_are(
    serve: Serve, tmp_path: Path
) -> None:
    point, bodies = measured(serve, tmp_path, ["t"] * 3 + [""], "workload.stop_at_eos=true")
    assert not any("end_id" in body for body in bodies)
    assert (point.short_answers, point.invalid, point.output_tokens_mean) == (3, [], 3)
