"""Another router while requests go on: a process of its own reads it, this one maps the result."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from er.errors import ErError
from er.gateway import choosers

if TYPE_CHECKING:
    from er.gateway.fast.server import Server

LOAD_S = 120.0
NICENESS = 10  # a tenth of a busy core: requests go first, and a router is not waited for in vain


async def load(server: "Server", file: str) -> choosers.Trained:
    """The router in a file. Raises ErError when it is damaged or does not fit."""
    if not file:
        raise ErError(f"the policy {server.policy} has no router")
    from er.routing import mapped

    descriptor = os.memfd_create("router")
    try:
        await asyncio.to_thread(_prepare, file, descriptor)
        found = choosers.Trained(*mapped.load(descriptor))
    finally:
        os.close(descriptor)
    return choosers.require_clusters(found, Path(file), len(server.experts.clusters))


def _prepare(file: str, descriptor: int) -> None:
    """Let a process write the router's arrays into memory that is shared with it."""
    os.set_inheritable(descriptor, True)
    command = [sys.executable, "-m", "er.routing.mapped", file, f"/proc/self/fd/{descriptor}"]
    # Without close_fds: closing thousands of connections, one by one, would hold everything up.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, close_fds=False
    ) as child:
        os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
        try:
            _, problem = child.communicate(timeout=LOAD_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise ErError(f"{file} is not read within {LOAD_S:g} s") from None
    if child.returncode:
        raise ErError(problem.strip().removeprefix("er.routing.mapped: ") or f"{file}: not read")
