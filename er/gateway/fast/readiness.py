"""Whether experts answer, asked once for all who want to know at the same time."""

import asyncio
from typing import TYPE_CHECKING

from er.gateway.fast import probe

if TYPE_CHECKING:
    from er.gateway.fast.server import Server

FRESH_S = 0.5  # how long an answer holds


class Readiness:
    """The last look at the experts: an inference each is too dear for every request."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._seen_s = 0.0

    async def problems(self, server: "Server") -> dict[str, str]:
        """What is wrong, by number of the expert."""
        loop = asyncio.get_running_loop()
        looking = self._looking
        if looking is None or (looking.done() and loop.time() - self._seen_s > FRESH_S):
            looking = self._looking = loop.create_task(self._look(server))
        return await asyncio.shield(looking)

    async def _look(self, server: "Server") -> dict[str, str]:
        used = [replica for replica in server.experts.replicas if not replica.removed]
        timeout_s = server.timeouts.probe_s
        found = await asyncio.gather(*(probe.infer(replica, timeout_s) for replica in used))
        self._seen_s = asyncio.get_running_loop().time()
        problems: dict[str, str] = {}
        for cluster in range(len(server.experts.clusters)):
            wrong = [found[at] for at, replica in enumerate(used) if replica.cluster == cluster]
            if all(wrong):  # replicas stand in for each other
                problems[str(cluster)] = wrong[0] if wrong else "it has no address"
        return problems
