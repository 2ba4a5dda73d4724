"""Whether experts answer, asked once for all who want to know at the same time."""

import asyncio
from typing import TYPE_CHECKING

from er.gateway.fast import probe

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica
    from er.gateway.fast.server import Server

DRAINED = "drained"


class Readiness:
    """One look at the experts at a time: an inference each is too dear for every request."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[dict[str, str]] | None = None

    async def problems(self, server: "Server") -> dict[str, str]:
        """What is wrong, by number of the expert."""
        looking = self._looking
        if looking is None or looking.done():
            looking = self._looking = asyncio.get_running_loop().create_task(_look(server))
        return await asyncio.shield(looking)


async def _look(server: "Server") -> dict[str, str]:
    used = [replica for replica in server.experts.replicas if not replica.removed]
    timeout_s = server.timeouts.probe_s
    found = await asyncio.gather(*(_problem(replica, timeout_s) for replica in used))
    problems: dict[str, str] = {}
    for cluster in range(len(server.experts.clusters)):
        wrong = [found[at] for at, replica in enumerate(used) if replica.cluster == cluster]
        if all(wrong):  # replicas stand in for each other
            # What is not meant to be comes first.
            problems[str(cluster)] = min(wrong, key=DRAINED.__eq__, default="it has no address")
    return problems


async def _problem(replica: "Replica", timeout_s: float) -> str:
    """What is wrong with a replica; empty when it answers prompts."""
    return DRAINED if replica.drained else await probe.infer(replica, timeout_s)
