"""The simulation against published figures that its correction was not fitted on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er.config import Precision
from er.simulation import comparison, cost, published, uncertainty, validate, validation_tables
from er.simulation.as_published import (
    REQUESTS,
    arrivals_s,
    lengths,
    simulated_offline,
    simulated_serving,
)

PRECISIONS = ("fp16", "int8", "fp8")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def comparisons():
    return comparison.compare(comparison.published_study())


@pytest.mark.parametrize(
    ("group", "quantity", "rows", "mean", "largest"),
    [
        ("serving", "itl_ms", 36, 0.075, 0.25),
        ("serving", "ttft_ms", 36, 0.05, 0.12),
        ("serving", "tokens_per_s", 36, 0.025, 0.10),
        ("maximum throughput", "tokens_per_s", 32, 0.04, 0.10),
        ("FP8, maximum throughput", "tokens_per_s", 81, 0.10, 0.30),
    ],
)
def test_runs_held_out_are_met(comparisons, group, quantity, rows, mean, largest):
    chosen = comparison.GROUPS[group]
    found = comparison.errors(comparison.held_out(comparisons), quantity, chosen)
    assert len(found) == rows
    assert found.mean() <= mean
    assert found.max() <= largest


def test_requests_arrive_as_vllms_client_sends_them():
    row = published.serving()[0]
    all_at_once = arrivals_s(replace(row, requests_per_s=published.AT_ONCE))
    assert all_at_once.tolist() == [0.0] * REQUESTS
    start_s = arrivals_s(replace(row, requests_per_s=8.0))
    assert start_s[:2].tolist() == pytest.approx([0.0, 0.1])  # 0.0995 s by NumPy's seed 0
    gaps_ms = 1e3 * np.diff(start_s)
    assert len(gaps_ms) == REQUESTS - 1
    assert gaps_ms == pytest.approx(np.rint(gaps_ms))  # the client sleeps whole milliseconds
    assert gaps_ms.mean() == pytest.approx(1e3 / 8, rel=0.02)


@pytest.mark.parametrize("rate", [4.0, 8.0, 16.0])
def test_published_runs_last_as_long_as_these_arrivals(rate):
    """Another draw of 500 gaps would end 4% earlier or later, one standard deviation."""
    rows = [
        row for row in published.serving() if (row.output_tokens, row.requests_per_s) == (16, rate)
    ]
    assert len(rows) == 4
    for row in rows:
        answer_s = (row.ttft_ms + 15 * row.itl_ms) / 1e3
        published_s = 16 * REQUESTS / row.tokens_per_s
        half_digit_s = published_s * 0.5 / row.tokens_per_s
        assert arrivals_s(row)[-1] + answer_s == pytest.approx(
            published_s, abs=half_digit_s + 0.005 * published_s
        )


def test_an_error_beyond_rounding_leaves_out_half_of_the_last_digit():
    row = published.serving()[0]
    five = replace(row, itl_ms=5, ttft_ms=100, tokens_per_s=1000)
    c = comparison.Comparison(five, replace(five, itl_ms=5.4, ttft_ms=103, tokens_per_s=1000))
    assert c.error("itl_ms", rounded=False) == pytest.approx(0.08)
    assert c.error("itl_ms", rounded=True) == 0
    assert c.error("ttft_ms", rounded=True) == pytest.approx(0.025)
    limit = published.offline()[0]
    c = comparison.Comparison(limit, replace(limit, tokens_per_s=1.1 * limit.tokens_per_s))
    assert c.error("tokens_per_s", rounded=True) == pytest.approx(0.1, abs=1e-6)
    assert np.isnan(c.error("ttft_ms", rounded=True))


def test_the_tables_mark_what_was_fitted_on_and_hold_every_run(comparisons):
    lines = validation_tables.ratios(comparisons)
    cells = [cell for line in lines for cell in line.split("|")]
    assert sum(cell.endswith("* ") for cell in cells) == 36 + 32
    rows = [line for line in lines if line.startswith(("| h", "| a"))]
    assert len(rows) == 12 + 8 + 10 + 2  # 16 bits and FP8 of an engine in rows of their own
    aims = validate.aims({"chosen": comparisons, "again": comparisons})
    assert len(aims) == 2 + len(comparison.AIMS)
    assert aims[0].count("chosen") == 2


def test_no_run_in_fp8_is_fitted_on():
    assert {row.split for row in published.fp8()} == {published.HELD_OUT}
    assert len(published.fp8()) == 81


def test_the_sentence_gives_the_mean_errors_of_what_was_held_out(comparisons):
    said = validate.sentence(comparisons)
    assert f"against {3 * 36 + 32 + 81} figures" in said
    found = comparison.errors(
        comparison.held_out(comparisons), "ttft_ms", comparison.GROUPS["serving"]
    )
    assert f"time to first token {found.mean():.0%}" in said
    page = (ROOT / "docs" / "prediction.md").read_text()
    assert said in page, "run python -m er.simulation.validate --write docs/prediction.md"
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert said in readme


def test_predictions_in_fp8_say_how_much_they_are_too_slow(comparisons, spec_for):
    ratios = [c.ratio("tokens_per_s") for c in comparisons if comparison.is_fp8(c)]
    assert 1 - np.mean(ratios) == pytest.approx(cost.FP8_TOO_SLOW, abs=0.005)
    about = {
        name: cost.origin_of(spec_for(f"llama3_8b/{name}/tp1"))["about"] for name in PRECISIONS
    }
    assert [name for name in PRECISIONS if "too slow on average" in about[name]] == ["fp8"]


@pytest.mark.parametrize(
    ("rows", "kind"), [(published.offline, "residual_factors"), (published.fp8, "unseen_factors")]
)
def test_a_figure_is_inside_an_interval_widened_by_what_the_model_cannot_explain(rows, kind):
    row = rows()[0]
    factor = published.fits()[kind]["tokens_per_s"]
    true = row.tokens_per_s
    for low, high, inside in (
        (true, true, True),
        (0.99 * factor * true, 2 * true, True),
        (1.01 * factor * true, 2 * true, False),
        (true / 2, 0.99 / factor * true, False),
    ):
        found = validation_tables.inside_of(row, {"tokens_per_s": (low, high)})
        assert found == {"tokens_per_s": inside}


def test_intervals_in_fp8_are_those_of_engines_that_the_fit_has_not_seen():
    for quantity in ("ttft_s.p50", "tpot_s.p95", "tokens_per_s", "requests_per_s", "e2e_s.mean"):
        seen = uncertainty.factor_of(quantity, Precision.fp16)
        assert 1.0 <= seen < uncertainty.factor_of(quantity, Precision.fp8)


def test_a_published_run_is_simulated_on_its_own_node():
    study = comparison.published_study()
    row = replace(published.serving()[0], requests_per_s=4.0)
    slower, faster = (
        simulated_serving(replace(row, hardware=node), study) for node in ("h100_sxm", "h200_sxm")
    )
    assert faster.itl_ms < slower.itl_ms
    row = replace(published.offline()[0], requests=500)
    fast, slow = (
        simulated_offline(replace(row, hardware=node), study) for node in ("h100_sxm", "a100_sxm")
    )
    assert slower.ttft_ms > 0
    assert slow.tokens_per_s < 0.6 * fast.tokens_per_s


def test_no_server_takes_time_at_maximum_throughput():
    study = comparison.published_study()
    row = replace(published.offline()[0], requests=200)
    correction = study.base.engine.correction
    busy = replace(correction, host_prompt_s=0.1, host_request_s=0.1)
    assert simulated_offline(row, study.corrected(busy)) == simulated_offline(row, study)
    for of_the_engine in ({"host_step_s": 0.1}, {"host_sequence_s": 0.001}):
        slow = study.corrected(replace(correction, **of_the_engine))
        assert simulated_offline(row, slow).tokens_per_s < 0.5 * row.tokens_per_s


@pytest.mark.parametrize(
    ("which", "means", "largest"),
    [(published.VARIABLE, (201.8, 213.0), (933, 806)), (published.MLPERF, (218, 293), (987, 1024))],
)
def test_lengths_that_vary_have_the_means_and_maxima_that_were_published(which, means, largest):
    varies = replace(published.serving()[0], input_tokens=which[0], output_tokens=which[1])
    found = lengths(varies, 500, np.random.default_rng(0))
    for tokens, mean, most in zip(found, means, largest, strict=True):
        assert tokens.mean() == pytest.approx(mean, rel=0.03)
        assert tokens.max() == pytest.approx(most, rel=0.05)
    assert sorted(found[0]) == sorted(lengths(varies, 500, np.random.default_rng(1))[0])
    fixed = lengths(published.serving()[0], 500, np.random.default_rng(0))
    assert {tuple(map(int, pair)) for pair in zip(*fixed, strict=True)} == {(467, 256)}
