"""The most memory that this process held since a moment, as Linux counts it."""

import contextlib
import resource
from pathlib import Path

RESET_PEAK = "5"  # proc(5), clear_refs


def forget_peak() -> None:
    """Count the peak from here on; where the system does not let us, from the process's start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def peak_bytes() -> int:
    """Most resident memory since `forget_peak`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    except (OSError, ValueError):  # not Linux, or a sandbox that does not count it
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(kilobytes) * 1024
