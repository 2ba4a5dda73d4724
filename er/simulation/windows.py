"""Play thousands of engines on several threads, to the same nanosecond as `closed_loop`.

What an engine does reaches another one over a user, no sooner than the delays on the way from an
engine through user and gateway to an engine allow. In a window of that length every thread plays
its own engines, with arrivals that are all known; then one thread lets the users of the requests
that ended send their next ones, in the order in which `closed_loop` would.
"""

import mmap
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from er.simulation.closed_loop import counted
from er.simulation.jit import compiled
from er.simulation.limits import Limits
from er.simulation.tables import (
    BRIEF_COLUMNS,
    LEAST_LOADED,
    UNRECORDED_COLUMNS,
    Ints,
    Prompts,
    Table,
    Tables,
    engines_of,
)
from er.simulation.users import Counted, Loop, users_of
from er.simulation.window import play
from er.simulation.window_users import (
    INDEX_BITS,
    INDEX_MASK,
    PART_COLUMNS,
    WINDOW_COLUMNS,
    Window,
    length_ns,
)

ENGINES_AT_LEAST = 1000  # fewer fit into the processor's cache, where a tournament tree is faster
LOOK_S = 0.2  # for idle processors
ONE_AT_A_TIME = threading.Lock()  # threads that wait for each other need a processor each


def worthwhile(loop: Loop, prompts: Table, count: int, limits: Limits) -> bool:
    """Whether this driver can play that, and is the faster one."""
    return (
        count >= ENGINES_AT_LEAST
        and 0 < length_ns(loop) < (1 << 62 - INDEX_BITS) // count
        and len(loop.start_ns) < INDEX_MASK
        and len(loop.fail_ns) == 0
        and not limits.chunked_context  # more steps with prompts than prompts
        and not limits.max_utilization
        and not bool((prompts[:, Prompts.engine] == LEAST_LOADED).any())
    )


def idle_processors() -> int:
    """How many processors have nothing to do: threads that wait for each other need one each, and
    where others compete for it several are slower than one."""
    idle_share = 1 - psutil.cpu_percent(LOOK_S) / 100
    return max(1, round(idle_share * len(os.sched_getaffinity(0))))


def simulate(
    tables: Tables,
    limits: Limits,
    prompts: Table,
    warmup: int,
    loop: Loop,
    count: int,
    gaps: Ints,
    threads: int | None = None,
) -> tuple[Table, Ints, Ints, Ints, Counted]:
    """As `closed_loop.simulate` without recording; only the order of segments is another, and the
    requests have their first columns alone."""
    threads = threads or idle_processors()
    bounds = np.arange(threads + 1) * count // threads
    prompts_before = np.concatenate(
        [[0], np.cumsum(np.bincount(prompts[:, Prompts.engine], None, count))]
    )
    room = prompts_before[bounds].astype(np.int64)  # a step with prompts for each prompt at most
    segments = np.empty((len(prompts), UNRECORDED_COLUMNS), np.int64)
    engines = engines_of(count, limits, prompts, warmup, loop.unmeasured, gaps, loop.reply_delay_ns)
    own_gaps = np.zeros((threads, *gaps.shape), np.int64)
    engines = engines._replace(
        finish=np.empty_like(engines.finish),
        sent=np.empty((len(prompts), BRIEF_COLUMNS), np.int32),
        times=np.empty(engines.times.shape, np.int64),
    )
    for table in (engines.sent, engines.times):  # every place in use is written before it is read
        touch(table, threads)
    engines.finish.fill(0)
    users = users_of(loop, warmup, len(prompts))
    ended, order = np.zeros((2, threads, len(loop.start_ns) + 1), np.int64)
    over, kept = np.zeros(threads, np.int64), room[:-1].copy()
    window, gate = np.zeros(WINDOW_COLUMNS, np.int64), np.zeros(2, np.int64)
    cursors, parts = (np.zeros((threads, n), np.int64) for n in (threads, PART_COLUMNS))
    active = np.zeros((threads, count), np.int64)
    arrivals = np.zeros((threads, len(loop.start_ns) + 1), np.int64)

    def work(thread: int) -> None:
        play(
            thread,
            engines._replace(gaps=own_gaps[thread]),
            users,
            tables,
            bounds,
            segments,
            kept,
            ended,
            over,
            active[thread],
            arrivals[thread],
            order,
            cursors,
            parts,
            window,
            gate,
        )

    with ONE_AT_A_TIME, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(threads)):
            pass
    for of_thread in own_gaps:
        gaps += of_thread
    rows = close_up(segments, room[:-1], kept)
    sends = int(window[Window.sends])
    return (
        engines.sent[:sends],
        engines.times[:sends],
        segments[:rows],
        engines.pauses,
        counted(engines, users),
    )


def touch(table: NDArray[Any], threads: int) -> None:
    """Let every page of a fresh table be there before it is used, which takes up to a second a
    gigabyte. It has huge pages, where the processor finds rows faster: numpy asks for them, but not
    for memory that comes as zeros."""
    pages = table.reshape(-1)[:: mmap.PAGESIZE // table.itemsize]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda part: part.fill(0), np.array_split(pages, threads)):
            pass


@compiled
def close_up(rows: Ints, first: Ints, last: Ints) -> int:
    """Move the rows from each `first` to before its `last` to the front, where those of the first
    part are; returns how many there are. numpy would copy what it moves onto itself."""
    count = last[0]
    for part in range(1, len(last)):
        for row in range(first[part], last[part]):
            rows[count] = rows[row]
            count += 1
    return int(count)
