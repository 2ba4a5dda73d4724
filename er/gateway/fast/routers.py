"""Another router while requests go on: a process of its own reads it, this one maps the result."""

import asyncio
import os
import signal
import sys
import threading
import time
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from er.errors import ErError
from er.gateway import choosers
from er.gateway.fast import spawn

if TYPE_CHECKING:
    from er.gateway.choosers import Chooser
    from er.gateway.fast.server import Server
    from er.gateway.trained import Trained

IDLE_S, LOAD_S = 10.0, 120.0
LOOK_EVERY_S = 0.02
NICENESS = 10  # a tenth of a busy core
STEP_BYTES, STEP_S = 2**20, 0.002  # of memory that is given back: a tenth of a millisecond


async def load(server: "Server", file: str) -> "Trained":
    """The router in a file. Raises ErError when it is damaged or does not fit."""
    if not file:
        raise ErError(f"the policy {server.policy} has no router")
    descriptor = os.memfd_create("router")
    try:
        await asyncio.to_thread(_prepare, file, descriptor)
        from er.gateway import trained

        found = trained.load_mapped(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    assert found.router.arrays
    give_back_after(found.router.arrays.terms.base, descriptor)
    return choosers.require_clusters(found, Path(file), len(server.experts.clusters))


def give_back_after(mapping: object, descriptor: int) -> None:
    """Once nobody uses a mapping, give the memory of its file back in steps: all at once would take
    2 ms in the system, for which a thread keeps the core from the others."""
    thread = partial(threading.Thread, target=_give_back, args=(descriptor,), daemon=True)
    weakref.finalize(mapping, lambda: thread().start()).atexit = False


def _give_back(descriptor: int) -> None:
    for left in range(os.fstat(descriptor).st_size, 0, -STEP_BYTES):
        os.ftruncate(descriptor, left)
        time.sleep(STEP_S)
    os.close(descriptor)


async def free(routers: "list[Chooser | None]") -> None:
    """Forget routers, of which the list has the last references, in a thread: undoing a mapping
    takes a while, for which it lets the interpreter's lock go."""
    await asyncio.to_thread(routers.clear)


def _prepare(file: str, descriptor: int) -> None:
    """Let a process write the router's arrays into memory that is shared with it.

    It runs while the core is idle, so that no request waits for it. Where that takes too long, it
    begins again with a share of a busy core.
    """
    import er.gateway.trained  # noqa: F401 (here, where a policy without a router has not needed it)

    code = _read(file, descriptor, idle=True, limit_s=IDLE_S)
    if code is None:
        code = _read(file, descriptor, idle=False, limit_s=LOAD_S)
    if code is None:
        raise ErError(f"{file} is not read within {LOAD_S:g} s")
    if code:
        problem = os.pread(descriptor, 4096, 0).decode(errors="replace") if code == 2 else ""
        raise ErError(problem or f"{file} is not read: the process that does has ended ({code})")


def _read(file: str, descriptor: int, *, idle: bool, limit_s: float) -> int | None:
    """The exit code of the process that reads the router; None where it took too long."""
    os.ftruncate(descriptor, 0)
    os.set_inheritable(descriptor, True)
    path = f"/proc/self/fd/{descriptor}"
    child = spawn.start([sys.executable, "-m", "er.routing.mapped", file, path])
    if idle:
        os.sched_setscheduler(child, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, child, NICENESS)
    end_s = time.monotonic() + limit_s
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(LOOK_EVERY_S)
    return os.waitstatus_to_exitcode(ended[1])
