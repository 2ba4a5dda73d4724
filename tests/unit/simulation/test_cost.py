"""Step times: the table's own rows come back, and more work never takes less time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from er.config import Hardware, Model, Precision, SimulatedEngine
from er.errors import ConfigError
from er.simulation.cost import PS_PER_MS, step_cost, step_times
from er.simulation.memory import kv_blocks

H100 = Hardware("h100_sxm", 8, 85_520_809_984, 3.35e12)
LLAMA_70B = Model("llama3_70b", 70_553_706_496, 2_101_346_304, 80, 64, 8, 128)
LLAMA_8B = Model("llama3_8b", 8_030_261_248, 1_050_673_152, 32, 32, 8, 128)
RAW = SimulatedEngine("simulated", 256, 8192, 4096, 64, 0.9, 3_000_000_000, 1.0, 0.0)
MODELS = {"llama3_70b": LLAMA_70B, "llama3_8b": LLAMA_8B}
ROWS = sorted(step_times("h100_sxm")["step_ms"])


def cost_of(row, engine=RAW):
    model, precision, tp = row.split("/")
    return step_cost(MODELS[model], Precision(precision), int(tp[2:]), H100, engine)


@pytest.mark.parametrize("row", ROWS)
def test_the_tables_own_points_come_back(row):
    table, cost = step_times("h100_sxm"), cost_of(row)
    for batch, ms in zip(table["decode_batch"], table["step_ms"][row]["decode"], strict=True):
        assert cost.iteration_ps(batch, 512 * batch, 0) == pytest.approx(ms * PS_PER_MS, rel=1e-5)
    for tokens, ms in zip(table["prefill_tokens"], table["step_ms"][row]["prefill"], strict=True):
        assert cost.iteration_ps(0, 0, tokens) == pytest.approx(ms * PS_PER_MS)


@pytest.mark.parametrize("row", ROWS)
def test_more_work_never_takes_less_time(row):
    cost = cost_of(row)
    assert all(ps > 0 for ps in cost.decode_ps[1:])

    @given(st.integers(0, 256), st.integers(0, 200_000), st.integers(1, 3900), st.integers(1, 3900))
    def check(decoding, context, prefill, more):
        alone = cost.iteration_ps(decoding, context, 0)
        mixed = cost.iteration_ps(decoding, context, prefill)
        assert alone <= mixed <= cost.iteration_ps(decoding, context, prefill + more)
        assert mixed < cost.iteration_ps(decoding, context + more, prefill)

    check()


def test_scale_and_host_overhead_act_on_every_step():
    corrected = cost_of(
        "llama3_70b/fp16/tp4", replace(RAW, step_time_scale=2, host_overhead_s=1e-3)
    )
    raw = cost_of("llama3_70b/fp16/tp4")
    for work in [(1, 512, 0), (0, 0, 300), (7, 900, 128)]:
        assert corrected.iteration_ps(*work) == pytest.approx(
            2 * raw.iteration_ps(*work) + PS_PER_MS, abs=10_000
        )


def test_70b_int8_on_one_gpu_leaves_room_for_about_27_thousand_tokens():
    assert 26_500 < 64 * kv_blocks(LLAMA_70B, Precision.int8, 1, H100, RAW) < 27_500


def test_weights_that_do_not_fit_are_refused_with_the_arithmetic():
    with pytest.raises(ConfigError, match=r"141\.1 GB of weights .* of 85\.5 GB"):
        kv_blocks(LLAMA_70B, Precision.fp16, 1, H100, RAW)


def test_unknown_hardware_and_unmeasured_engines_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"hardware.name is abacus.*h100_sxm"):
        step_times("abacus")
    with pytest.raises(ConfigError, match=r"llama3_8b/fp16/tp2.*choose of"):
        step_cost(LLAMA_8B, Precision.fp16, 2, H100, RAW)
