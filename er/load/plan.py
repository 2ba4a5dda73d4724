"""Who sends what when: a closed loop, arrivals on their own clock, or bursts."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count

from er.config import Arrivals, Load
from er.results import Prompt, Request

GIVE_UP_AFTER = 3  # failures in a row, or as many as there are users if that is more


@dataclass(frozen=True)
class Work:
    """One request to come."""

    due_s: float  # since the start of the point
    prompt: Prompt
    request: Request


def requests_of(users: int, load: Load) -> int:
    """Measured requests at `users` users; warm-up requests come on top."""
    return max(users * load.requests_per_user, load.requests_at_least)


class Plan:
    """What the users of one point send, or every `of`-th of them from `at`.

    Measured requests send `prompts` in their order, from the start again when they run out;
    warm-up requests send them from the end backwards.
    """

    def __init__(
        self, prompts: Sequence[Prompt], users: int, load: Load, at: int = 0, of: int = 1
    ) -> None:
        self.users = range(at, users, of)
        self._load = load
        self._concurrency = users
        self._index = at
        self._step = of
        self._failures = 0  # in a row
        wanted = requests_of(users, load)
        self._measured = deque(prompts[turn % len(prompts)] for turn in range(at, wanted, of))
        each = load.warmup_requests_per_user
        self._warmup = {
            user: deque(
                prompts[-1 - turn % len(prompts)] for turn in range(user * each, user * each + each)
            )
            for user in self.users
        }

    @property
    def hopeless(self) -> bool:
        """Whether so many requests in a row have failed that all users give up."""
        return self._failures >= max(len(self.users), GIVE_UP_AFTER)

    def start(self) -> list[Work]:
        """What is known before the first answer."""
        due_s = self._due_s()
        if self._load.arrivals is Arrivals.closed_loop:
            works = [self._next(user, next(due_s)) for user in self.users]
        else:
            total = len(self._measured) + sum(map(len, self._warmup.values()))
            users = (self.users[turn % len(self.users)] for turn in range(total))
            works = [self._next(user, next(due_s)) for user in users]
        return [work for work in works if work]

    def after(self, request: Request, now_s: float) -> Work | None:
        """What the end of `request`, `now_s` after the start, brings; notes how it ended."""
        self._failures = self._failures + 1 if request.error else 0
        if self._load.arrivals is not Arrivals.closed_loop or self.hopeless:
            return None
        return self._next(request.user, now_s + self._load.think_time_s)

    def _next(self, user: int, due_s: float) -> Work | None:
        warmup = bool(self._warmup[user])
        left = self._warmup[user] or self._measured
        if not left:
            return None
        prompt = left.popleft()
        request = Request(
            concurrency=self._concurrency,
            user=user,
            index=self._index,
            warmup=warmup,
            topic=prompt.topic,
            input_tokens=prompt.input_tokens,
            max_tokens=prompt.output_tokens,
            send_s=0.0,
        )
        self._index += self._step
        return Work(due_s, prompt, request)

    def _due_s(self) -> Iterator[float]:
        """When the requests that wait for no answer are due, in order."""
        load = self._load
        if load.arrivals is Arrivals.open_loop:
            # Gaps of a renewal process: gamma of mean 1 / rate; shape 1 makes it Poisson.
            generator = random.Random(f"{self._concurrency} {self._index}")
            mean_s = 1 / (load.user_rate_per_s * len(self.users))
            shape = load.burstiness
            return accumulate(generator.gammavariate(shape, mean_s / shape) for _ in count())
        if load.arrivals is Arrivals.burst:
            return (turn // len(self.users) * load.burst_every_s for turn in count())
        return (user / self._concurrency * load.ramp_s for user in self.users)
