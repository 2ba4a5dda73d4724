"""The peak of memory is a point's own."""

from er.load import memory

BYTES = 100 << 20


def test_the_peak_of_one_point_does_not_reach_into_the_next() -> None:
    memory.forget_peak()
    large = b"x" * BYTES
    with_large = memory.peak_bytes()
    del large
    memory.forget_peak()
    assert with_large - memory.peak_bytes() > BYTES / 2
