"""The event loop's thread has a short time slice, other threads and programs the usual one."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from er.gateway.fast import time_slice


def test_a_thread_shortens_its_own_slice_and_nobody_elses() -> None:
    usual_ns, niceness = time_slice.read_ns(0), os.nice(0)

    def shorten() -> tuple[int, int, int, int]:
        time_slice.shorten()
        with ThreadPoolExecutor(1) as pool:
            started_ns = pool.submit(time_slice.read_ns, 0).result()
        child = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
        try:
            child_ns = time_slice.read_ns(child)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return time_slice.read_ns(0), started_ns, child_ns, nice

    with ThreadPoolExecutor(1) as pool:
        own_ns, started_ns, child_ns, nice = pool.submit(shorten).result()
    assert own_ns == (time_slice.SLICE_NS if usual_ns else 0)  # 0: Linux before 6.12 has none
    assert started_ns == child_ns == time_slice.read_ns(0) == usual_ns
    assert nice == niceness
