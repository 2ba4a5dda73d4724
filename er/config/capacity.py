"""The schema of `capacity`: in place of a ladder, search the most users within limits."""

from dataclasses import dataclass

from er.config.checks import require, require_positive


@dataclass
class Capacity:
    """A search for the most users within load.ttft_at_most_s and load.tpot_at_most_s."""

    prompts: int  # that the users take turns with
    gpus_for_users: list[int]  # numbers of users for which the GPUs needed are reported

    def __post_init__(self) -> None:
        require_positive(self, "capacity", "prompts")
        require(
            all(users >= 1 for users in self.gpus_for_users),
            f"capacity.gpus_for_users is {self.gpus_for_users}: a number of users is 1 or more",
        )
