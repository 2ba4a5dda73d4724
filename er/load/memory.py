"""The peak memory of this process since a given moment, as Linux counts it."""

import contextlib
import resource
from pathlib import Path

RESET_PEAK = "5"  # proc(5), clear_refs


def forget_peak() -> None:
    """Reset the peak; on a system without that, it is counted from the start of the process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def peak_bytes() -> int:
    """Peak resident memory since `forget_peak`, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    except (OSError, ValueError):  # not Linux, or a sandbox that does not count it
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(kilobytes) * 1024
