"""What the gateway knows while it runs: its experts, its counts, and who may come in."""

from dataclasses import dataclass, field

import aiohttp

from er.routing.router import Router


@dataclass
class State:
    """Shared by the data plane, which counts, and the control plane, which tells."""

    router: Router
    experts: list[str]  # generate_stream URLs, by number of expert
    session: aiohttp.ClientSession
    in_flight_at_most: int
    in_flight: int = 0
    requests: list[int] = field(default_factory=list)  # by expert
    errors: dict[str, int] = field(default_factory=dict)  # by cause
    classified: int = 0
    classify_s: float = 0.0  # summed

    def __post_init__(self) -> None:
        self.requests = [0] * len(self.experts)

    def count_error(self, cause: str) -> None:
        """One more failure of this kind."""
        self.errors[cause] = self.errors.get(cause, 0) + 1
