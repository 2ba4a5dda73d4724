"""The simulation against published figures, and the fit of its correction."""

import pytest

from er.simulation import calibrate, validate
from er.simulation.published import SERVING


@pytest.fixture(scope="module")
def comparisons():
    return validate.compare(*validate.published_models())


def errors(comparisons, kind, quantity):
    held_out = [c for c in comparisons if not c.fitted and kind in c.row]
    return [abs(c.ratio - 1) for c in held_out if c.quantity == quantity]


@pytest.mark.parametrize(
    ("kind", "quantity", "mean", "largest"),
    [
        ("serving", "itl_s", 0.10, 0.15),
        ("serving", "ttft_s", 0.15, 0.20),
        ("serving", "tokens_per_s", 0.10, 0.15),
        ("offline", "tokens_per_s", 0.10, 0.25),
    ],
)
def test_rows_that_were_not_fitted_on_are_met(comparisons, kind, quantity, mean, largest):
    found = errors(comparisons, kind, quantity)
    assert len(found) >= 3
    assert sum(found) / len(found) <= mean
    assert max(found) <= largest


def test_only_light_serving_rows_are_fitted_on(comparisons):
    assert {row.requests_per_s for row in SERVING if row.fitted} == {2}
    assert {c.row for c in comparisons if c.fitted} == {row.name for row in SERVING if row.fitted}


def test_the_table_marks_what_was_fitted_and_sums_up_the_rest(comparisons):
    lines = validate.table(comparisons)
    assert sum("fitted on" in line for line in lines) == sum(c.fitted for c in comparisons)
    assert [line.split(":")[0] for line in lines if line.startswith("Held out")] == [
        "Held out, serving, ttft_s",
        "Held out, serving, itl_s",
        "Held out, serving, tokens_per_s",
        "Held out, offline, tokens_per_s",
    ]


def test_the_search_finds_a_minimum_and_keeps_the_overhead_from_falling_below_zero():
    scale, overhead_s = calibrate.minimise(lambda s, o: (s - 1.37) ** 2 + (1e3 * o - 1.1) ** 2)
    assert (scale, overhead_s) == (pytest.approx(1.37, abs=0.01), pytest.approx(0.0011, abs=2e-5))
    assert calibrate.minimise(lambda s, o: (s - 1) ** 2 + (1e3 * o + 1) ** 2)[1] == 0.0


def test_the_configured_correction_is_the_fitted_one():
    base, _ = validate.published_models()
    engine = base.engine
    here = calibrate.published_loss(engine.step_time_scale, engine.host_overhead_s)
    assert here < calibrate.published_loss(engine.step_time_scale * 1.05, engine.host_overhead_s)
    assert here < calibrate.published_loss(engine.step_time_scale / 1.05, engine.host_overhead_s)
