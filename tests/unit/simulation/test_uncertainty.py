"""The interval of a prediction."""

from dataclasses import replace

import pytest

from er.compose import plan
from er.results.request import Prompt
from er.simulation import uncertainty
from er.simulation.cost import origin_of, step_cost
from er.simulation.published import fits
from er.simulation.spec import Bound, from_json, spec_of, to_json
from er.study import predicted


def engine(deployment):
    [config] = plan([f"deployment={deployment}"])
    return spec_of(config)


def test_a_draw_keeps_what_a_user_has_calibrated():
    spec = engine("e")
    scale = 2 * spec.engine.correction.memory_scale
    own = replace(spec.engine.correction, memory_scale=scale)
    drawn = list(uncertainty.drawn(replace(spec, engine=replace(spec.engine, correction=own))))
    default = list(uncertainty.drawn(spec))
    assert len(drawn) == len(fits()["draws"])
    for ours, theirs in zip(drawn, default, strict=True):
        twice = 2 * theirs.engine.correction.memory_scale
        assert ours.engine.correction.memory_scale == pytest.approx(twice)


def test_the_extremes_lie_on_both_sides_of_the_prediction():
    spec = engine("b")
    found = uncertainty.extremes(spec)
    for time_of in (uncertainty.decode_ns, uncertainty.prefill_ns):
        times = [time_of(each) for each in found]
        assert min(times) < time_of(spec) < max(times)


def test_int8_lies_between_the_roofline_and_16_bits():
    spec = engine("d")
    fast, plain, slow = (
        step_cost(replace(spec, bound=bound)).decode(8, 4000)
        for bound in (Bound.roofline, Bound.none, Bound.fp16)
    )
    assert fast < plain < slow
    assert {each.bound for each in uncertainty.extremes(spec)} >= {Bound.roofline, Bound.fp16}
    assert from_json(to_json(replace(spec, bound=Bound.fp16))).bound is Bound.fp16
    assert "bounded by roofline and FP16" in origin_of(spec)["about"]
    assert "INT8" not in origin_of(engine("e"))["about"]


def test_a_predicted_point_lies_within_its_interval():
    [config] = plan(["deployment=d", "clock=virtual", "load=laptop"])
    study = predicted.Study(config)
    prompts = [Prompt("", "", 200, 50)] * 40
    point = study.play(prompts, 4).point()
    interval = study.interval(prompts, 4)
    assert set(interval) == set(predicted.QUANTITIES)
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        low, high = interval[f"{name}.p50"]
        assert low < getattr(point, name).p50 < high
    low, high = interval["tokens_per_s"]
    assert low < point.tokens_per_s < high
