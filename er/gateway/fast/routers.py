"""Another router while requests go on: a process of its own reads it, this one maps the result."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from er.errors import ErError
from er.gateway import choosers
from er.gateway.fast import spawn

if TYPE_CHECKING:
    from er.gateway.choosers import Chooser
    from er.gateway.fast.server import Server
    from er.gateway.trained import Trained

LOAD_S = 120.0
LOOK_EVERY_S = 0.02
NICENESS = 10  # a tenth of a busy core: requests go first, and a router is not waited for in vain


async def load(server: "Server", file: str) -> "Trained":
    """The router in a file. Raises ErError when it is damaged or does not fit."""
    if not file:
        raise ErError(f"the policy {server.policy} has no router")
    descriptor = os.memfd_create("router")
    try:
        await asyncio.to_thread(_prepare, file, descriptor)
        from er.gateway import trained

        found = trained.load_mapped(descriptor)
    finally:
        os.close(descriptor)
    return choosers.require_clusters(found, Path(file), len(server.experts.clusters))


async def free(routers: "list[Chooser | None]") -> None:
    """Forget routers, of which the list has the last references, in a thread: to give the memory of
    one back takes 2 ms, for which a mapping lets the interpreter's lock go."""
    await asyncio.to_thread(routers.clear)


def _prepare(file: str, descriptor: int) -> None:
    """Let a process write the router's arrays into memory that is shared with it."""
    import er.gateway.trained  # noqa: F401 (here, where a policy without a router has not needed it)

    # This thread does nothing else; what it starts inherits its priority.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    os.set_inheritable(descriptor, True)
    path = f"/proc/self/fd/{descriptor}"
    child = spawn.start([sys.executable, "-m", "er.routing.mapped", file, path])
    end_s = time.monotonic() + LOAD_S
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise ErError(f"{file} is not read within {LOAD_S:g} s")
        time.sleep(LOOK_EVERY_S)
    code = os.waitstatus_to_exitcode(ended[1])
    if code:
        problem = os.pread(descriptor, 4096, 0).decode(errors="replace") if code == 2 else ""
        raise ErError(problem or f"{file} is not read: the process that does has ended ({code})")
