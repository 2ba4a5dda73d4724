"""The time that a job has, where a batch system ends it."""

import time
from dataclasses import dataclass

from er.errors import OutOfTimeError
from er.results.words import count_of


@dataclass
class TimeLeft:
    """No point is begun that would not be done in time.

    One takes at least as long as the longest before it: the ladder rises.
    """

    until_s: float = float("inf")  # Unix time
    longest_s: float = 0.0
    began_s: float = 0.0

    def begin_point(self, concurrency: int) -> None:
        """Raise OutOfTimeError unless there is time for one more point."""
        now_s = time.time()
        if self.began_s:
            self.longest_s = max(self.longest_s, now_s - self.began_s)
        self.began_s = now_s
        left_s = self.until_s - now_s
        if left_s <= self.longest_s:
            raise OutOfTimeError(
                f"no time for {count_of(concurrency, 'user')}: {max(left_s, 0):.0f} s are left, "
                f"the longest point took {self.longest_s:.0f} s: the same command again goes on "
                "here"
            )
