"""Who sends what next in a closed loop, and when the users give up."""

from collections import deque
from collections.abc import Sequence

from er.config import Load
from er.results import Prompt, Request

GIVE_UP_AFTER = 3  # failures in a row, or as many as there are users if that is more


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
        self.concurrency = users
        self.users = range(at, users, of)
        wanted = requests_of(users, load)
        self._measured = deque(prompts[turn % len(prompts)] for turn in range(at, wanted, of))
        each = load.warmup_requests_per_user
        self._warmup = {
            user: deque(
                prompts[-1 - turn % len(prompts)] for turn in range(user * each, user * each + each)
            )
            for user in self.users
        }
        self._index = at
        self._step = of
        self._failures = 0  # in a row

    def next(self, user: int) -> tuple[Prompt, Request] | None:
        """What `user` sends now; None when there is no more, or all have given up."""
        if self._failures >= max(len(self.users), GIVE_UP_AFTER):
            return None
        warmup = bool(self._warmup[user])
        left = self._warmup[user] or self._measured
        if not left:
            return None
        prompt = left.popleft()
        request = Request(
            concurrency=self.concurrency,
            user=user,
            index=self._index,
            warmup=warmup,
            topic=prompt.topic,
            input_tokens=prompt.input_tokens,
            max_tokens=prompt.output_tokens,
            send_s=0.0,
        )
        self._index += self._step
        return prompt, request

    def ended(self, request: Request) -> None:
        """Note how a request ended, as far as is known."""
        self._failures = self._failures + 1 if request.error else 0
