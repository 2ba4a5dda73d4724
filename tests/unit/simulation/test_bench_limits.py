"""The limits of engines built as NVIDIA's throughput runs were."""

from dataclasses import replace

import pytest

from er.config import Precision
from er.simulation.as_published import keeps_memory
from er.simulation.bench_limits import bench_limits, rounded_requests, rounded_tokens
from er.simulation.comparison import every_row, published_study
from er.simulation.limits import limits_of
from er.simulation.memory import gpu_weight_bytes, kv_bytes_per_token


@pytest.mark.parametrize(
    ("model", "hardware", "tp", "precision", "lengths", "limits"),
    [
        # (79.1 GiB - 16.1) * 0.95 / 0.000122 GiB a token / 256 = 1,916 requests; twice the tokens
        ("llama3_8b", "h100_sxm", 1, "fp16", (128, 128), (2048, 3840)),
        # 227 requests, which need 242 tokens a step
        ("llama3_8b", "h100_sxm", 1, "fp16", (128, 2048), (256, 2048)),
        # (158.2 - 141.1) * 0.95 / 0.000305 / 2,176 = 24 requests
        ("llama3_70b", "h100_sxm", 2, "fp16", (128, 2048), (64, 2048)),
        # Half the bytes of everything: 507 requests
        ("llama3_8b", "h100_sxm", 1, "fp8", (128, 2048), (512, 2048)),
        # More than the most requests
        ("llama3_70b", "h100_sxm", 8, "fp16", (128, 128), (4096, 8192)),
        # 182 requests with 17 tokens each
        ("llama3_70b", "h200_sxm", 2, "fp16", (2048, 128), (224, 3584)),
    ],
)
def test_limits_follow_from_the_memory_and_the_lengths(
    model, hardware, tp, precision, lengths, limits
):
    study = published_study()
    found = bench_limits(
        study.models[model], study.hardware[hardware], tp, Precision(precision), lengths
    )
    assert found == limits


@pytest.mark.parametrize(
    ("requests", "rounded"), [(1, 64), (64, 64), (65, 96), (256, 256), (257, 384), (1025, 1280)]
)
def test_requests_are_rounded_up(requests, rounded):
    assert rounded_requests(requests) == rounded


@pytest.mark.parametrize(
    ("tokens", "rounded"), [(1, 2048), (2049, 2304), (4096, 4096), (4097, 4608), (8193, 9216)]
)
def test_tokens_are_rounded_up(tokens, rounded):
    assert rounded_tokens(tokens) == rounded


def test_only_16_bit_engines_of_trtllm_bench_on_h100_keep_a_share_of_their_weights():
    nothing = replace(published_study(), kept_share=0.0)
    share = replace(nothing, kept_share=0.1)
    kept = [row for row in every_row() if keeps_memory(row)]
    assert {row.name.split()[0] for row in kept} == {"h100_sxm"}
    assert len(kept) == 8 * 4  # lengths and engines
    for row in every_row():
        spec, less = nothing.spec(row), share.spec(row)
        room, room_left = limits_of(spec).kv_blocks, limits_of(less).kv_blocks
        if row not in kept:
            assert room_left == room
            continue
        block_bytes = kv_bytes_per_token(spec.model, row.tp) * spec.engine.tokens_per_block
        bytes_less = 0.1 * gpu_weight_bytes(spec.model, spec.precision, row.tp)
        fraction = spec.engine.kv_cache_free_gpu_mem_fraction
        assert room - room_left == pytest.approx(fraction * bytes_less / block_bytes, abs=1)
