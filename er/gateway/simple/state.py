"""What the gateway knows while it runs: its experts, its counts, and who may come in."""

from dataclasses import dataclass, field

import aiohttp

from er.config import Policy
from er.routing.policies import Choose


@dataclass
class State:
    """Shared by the data plane, which counts, and the control plane, which reports."""

    policy: Policy
    choose: Choose
    experts: list[str]  # generate_stream URLs, by number of expert
    session: aiohttp.ClientSession
    in_flight_at_most: int
    in_flight: list[int] = field(init=False)  # requests now, by expert
    requests: list[int] = field(init=False)  # ever, by expert
    errors: dict[str, int] = field(default_factory=dict)  # by cause
    choose_s: float = 0.0  # summed over all requests

    def __post_init__(self) -> None:
        self.in_flight = [0] * len(self.experts)
        self.requests = [0] * len(self.experts)

    def count_error(self, cause: str) -> None:
        """One more failure of this kind."""
        self.errors[cause] = self.errors.get(cause, 0) + 1
