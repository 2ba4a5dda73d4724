"""Step times: measured sums come back, more work takes longer, bad tables are refused."""

from dataclasses import replace

import numpy as np
import pytest

from er.config import Correction, Model, Precision
from er.errors import ConfigError
from er.simulation import cost
from er.simulation.cost import NS_PER_MS, check, kernels_of, step_cost
from er.simulation.fit import SCALES
from er.simulation.kernel_times import kernel_times
from er.simulation.memory import gpu_weight_bytes, kv_blocks, weight_bytes

NONE = Correction(1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
ROWS = sorted(kernel_times("h100_sxm")["matrices"])

# Whole steps in ms as the source itself sums them: decode of a batch at context 512, prefills.
WHOLE_STEPS = {
    "llama3_8b/fp16/tp1": (
        {1: 6.29, 8: 6.57, 32: 7.42, 64: 8.20, 256: 12.50},
        {300: 9.2, 1024: 22.6},
    ),
    "llama3_70b/int8/tp1": ({1: 27.17, 8: 30.18, 64: 36.47, 256: 61.42}, {300: 71.8, 1024: 174.8}),
    "llama3_70b/int8/tp4": ({1: 10.95, 32: 13.94, 128: 20.99}, {300: 34.5, 1024: 70.5}),
    "llama3_70b/fp16/tp4": ({1: 15.02, 32: 17.35, 128: 23.15}, {300: 28.6, 1024: 71.3}),
    "llama3_70b/fp16/tp8": ({1: 10.22, 32: 11.66, 128: 17.17}, {300: 23.3, 1024: 53.3}),
}


@pytest.mark.parametrize("row", sorted(WHOLE_STEPS))
def test_the_parts_add_up_to_the_sources_own_steps(spec_for, row):
    step = step_cost(spec_for(row))
    decode_ms, prefill_ms = WHOLE_STEPS[row]
    for batch, ms in decode_ms.items():
        assert step.decode(batch, 512 * batch) == pytest.approx(ms * NS_PER_MS, rel=0.01)
    for tokens, ms in prefill_ms.items():
        assert step.mixed(0, 0, [(0, tokens)]) == pytest.approx(ms * NS_PER_MS, rel=0.06)


@pytest.mark.parametrize("hardware", ["h100_sxm", "h200_sxm", "a100_sxm"])
@pytest.mark.parametrize("row", ROWS)
def test_every_table_gives_sound_steps(spec_for, row, hardware):
    if hardware == "a100_sxm" and "fp8" in row:
        with pytest.raises(ConfigError, match="a100_sxm has no FP8: choose"):
            step_cost(spec_for(row, hardware=hardware))
        return
    step = step_cost(spec_for(row, hardware=hardware))
    assert (step.decode_ns[1:] > 0).all()
    assert step.decode_ns[0].max() == 0
    assert (step.prefill_ns >= 0).all()
    assert step.decode(64, 64 * 4000) > step.decode(64, 64 * 100)
    assert (
        step.mixed(8, 800, [(0, 2000), (0, 2000)])
        > step.mixed(8, 800, [(0, 2000)])
        > step.decode(8, 800)
    )


def test_two_prompts_share_a_launch_but_not_their_attention(spec_for):
    step = step_cost(spec_for("llama3_70b/fp16/tp4"))
    apart = (
        step.mixed(0, 0, [(0, 300)])
        + step.mixed(0, 0, [(0, 700)])
        - step.linear_ns[300]
        - step.linear_ns[700]
    )
    together = step.mixed(0, 0, [(0, 300), (0, 700)]) - step.linear_ns[1000]
    assert together == apart - step.launch_ns


def test_chunks_attend_as_the_whole_prompt_does(spec_for):
    step = step_cost(spec_for("llama3_8b/fp16/tp1"))
    chunks = step.mixed(0, 0, [(0, 512)]) + step.mixed(0, 0, [(512, 1000)])
    linear = step.linear_ns[512] + step.linear_ns[488] - step.linear_ns[1000]
    whole = step.mixed(0, 0, [(0, 1000)]) + step.launch_ns + step.decode_ns[0, 0]
    assert chunks == whole + linear


def test_each_scale_acts_on_its_kernels_and_the_host_once_a_step(spec_for):
    name = "llama3_70b/fp16/tp4"
    raw = step_cost(spec_for(name))
    work = [(3, 300, [(0, 128), (64, 104)]), (0, 0, [(0, 300)]), (7, 900, [(0, 2000)])]

    def of(**changed):
        step = step_cost(spec_for(name, correction=replace(NONE, **changed)))
        return np.array([step.decode(7, 900), *(step.mixed(*each) for each in work)])

    plain = np.array([raw.decode(7, 900), *(raw.mixed(*each) for each in work)])
    twice = {name: of(**{name: 2.0}) - plain for name in SCALES}
    assert all((more >= 0).all() for more in twice.values())
    # What more than 128 tokens add to all-reduces is taken as measured.
    rest = plain - sum(twice.values())
    assert rest[0] == pytest.approx(0, abs=20)  # rounding
    assert 0 < rest[1] < rest[2] < rest[3]
    assert twice["communication_scale"][2] == twice["communication_scale"][3] > 0
    assert twice["compute_scale"][0] == 0  # seven tokens are bound by memory
    assert twice["compute_scale"][3] > 0.5 * plain[3]  # two thousand by computing
    assert of(host_step_s=1e-3) == pytest.approx(plain + NS_PER_MS, abs=2)
    decoding = np.array([7, 3, 0, 7])
    assert of(host_sequence_s=1e-5) == pytest.approx(plain + 10_000 * decoding, abs=2)
    prompts = np.array([0, 1, 1, 1])  # the other chunk is a later one
    assert of(host_prompt_s=1e-4) == pytest.approx(plain + 100_000 * prompts, abs=2)
    assert of(host_request_s=1.0).tolist() == plain.tolist()  # it waits before it joins


def test_tables_continue_beyond_their_last_point():
    at = np.array([1.0, 4.0, 8.0])
    assert cost.line(at, [1, 2, 4], [10.0, 20.0, 30.0]).tolist() == [10.0, 30.0, 50.0]
    rows = cost.between_rows(at, np.array([1.0, 2.0]), np.array([[1.0], [3.0]]))
    assert rows.ravel().tolist() == [1.0, 7.0, 15.0]


def test_70b_int8_on_one_gpu_leaves_room_for_about_23_thousand_tokens(spec_for):
    assert 23_000 < 64 * kv_blocks(spec_for("llama3_70b/int8/tp1")) < 23_500


def test_the_kv_cache_is_as_large_as_in_nvidias_own_log(spec_for):
    """An engine of Llama 2 7B with FP8 weights and KV cache on 79.10 GiB, as TensorRT-LLM's
    docs/source/reference/memory.md prints it."""
    llama2_7b = Model("llama2_7b", 6_738_415_616, 262_144_000, 32, 32, 32, 128)
    mib = 2**20
    spec = replace(
        spec_for(
            "llama3_8b/fp8/tp1",
            activation_bytes=int((1134.01 + 43.29 + 180.30) * mib),  # context, buffers, decoder
            kv_cache_precision=Precision.fp8,
        ),
        model=llama2_7b,
    )
    assert gpu_weight_bytes(llama2_7b, Precision.fp8, 1) == pytest.approx(6678 * mib, rel=0.001)
    assert kv_blocks(spec) == pytest.approx(4060, rel=0.001)


def test_every_gpu_has_a_whole_input_embedding(spec_for):
    model = spec_for("llama3_70b/fp16/tp4").model
    one, four = (gpu_weight_bytes(model, Precision.fp16, tp) for tp in (1, 4))
    assert one == weight_bytes(model, Precision.fp16)
    assert four - one / 4 == pytest.approx(0.75 * model.embedding_parameters)


def test_an_fp8_kv_cache_holds_twice_as_many_tokens(spec_for):
    name = "llama3_70b/fp8/tp1"
    full, half = (
        kv_blocks(spec_for(name, kv_cache_precision=kind))
        for kind in (Precision.fp16, Precision.fp8)
    )
    assert half in (2 * full, 2 * full + 1)


def test_weights_that_do_not_fit_are_refused_with_the_arithmetic(spec_for):
    with pytest.raises(ConfigError, match=r"141\.1 GB of weights .* of 84\.1 GB"):
        kv_blocks(spec_for("llama3_70b/fp16/tp1"))


def test_unknown_hardware_and_unmeasured_engines_are_refused_by_name(spec_for):
    with pytest.raises(ConfigError, match=r"hardware\.name is abacus.*h100_sxm"):
        kernel_times("abacus")
    for name, on_node, choices in (
        ("llama3_8b/fp16/tp3", "h100_sxm", "choose deployment.tp=1, 2, 4 or 8"),
        ("llama3_8b/fp8/tp1", "a100_sxm", "choose deployment.precision=fp16 or int8, or hardware="),
        ("llama2_7b/fp16/tp1", "h100_sxm", "choose llama3_70b or llama3_8b"),
    ):
        model, precision, tp = name.split("/")
        spec = replace(
            spec_for("llama3_8b/fp16/tp1"), tp=int(tp[2:]), precision=Precision(precision)
        )
        spec = replace(
            spec,
            model=replace(spec.model, name=model),
            hardware=replace(spec.hardware, name=on_node),
        )
        with pytest.raises(ConfigError) as refused:
            step_cost(spec)
        assert choices in str(refused.value)
        assert "[" not in str(refused.value)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_table_with_an_impossible_time_is_refused(spec_for, bad):
    spec = spec_for("llama3_8b/fp16/tp1")
    kernels = kernels_of(kernel_times("h100_sxm"), spec)
    broken = replace(kernels, matrices=[*kernels.matrices[:-1], bad])
    with pytest.raises(ConfigError, match="llama3_8b/fp16/tp1 has a time that is not above 0"):
        check(broken, spec)


def test_a_step_faster_than_memory_is_refused(spec_for):
    spec = spec_for("llama3_8b/fp16/tp1")
    slow = replace(spec.hardware, memory_bandwidth_bytes_per_s=1e12)
    with pytest.raises(ConfigError, match="in which memory delivers the weights"):
        step_cost(replace(spec, hardware=slow))
