"""The peak of memory is a point's own."""

import subprocess
import sys

from er.load import memory

BYTES = 100 << 20


def test_the_peak_of_one_point_does_not_reach_into_the_next() -> None:
    memory.forget_peak()
    large = b"x" * BYTES
    with_large = memory.peak_bytes()
    del large
    memory.forget_peak()
    assert with_large - memory.peak_bytes() > BYTES / 2


def test_the_load_generator_does_without_what_takes_megabytes() -> None:
    script = (
        "import er.load.users, er.load.worker, sys;"
        "print({'ssl', 'email', 'http.client', 'numpy', 'aiohttp', 'tiktoken'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
