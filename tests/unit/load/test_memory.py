"""The memory of the load generator: its peak in each point, and its imports."""

import subprocess
import sys

from er.load import memory

BYTES = 100 << 20


def test_the_memory_peak_is_reset_before_each_point() -> None:
    memory.forget_peak()
    large = b"x" * BYTES
    with_large = memory.peak_bytes()
    del large
    memory.forget_peak()
    assert with_large - memory.peak_bytes() > BYTES / 2


def test_the_load_generator_does_not_import_large_libraries() -> None:
    script = (
        "import er.load.users, er.load.worker, sys;"
        "print({'ssl', 'email', 'http.client', 'numpy', 'aiohttp', 'tiktoken'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
