"""Decide which user sends which prompt when, for every kind of arrivals."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from er.config import Arrivals, Load
from er.errors import ErError
from er.load import arrivals
from er.results.request import Prompt, Request

GIVE_UP_AFTER = 3  # failures in a row, or as many as there are users if they are more
T = TypeVar("T")

Conversation = list[Prompt]  # its turns in order; most have one


@dataclass(frozen=True)
class Work:
    """One request that is to be sent."""

    due_s: float  # since the start of the point
    prompt: Prompt
    request: Request


class Plan:
    """What the users of one point send, or the part of every `of`-th user from user `at` on.

    Measured requests use `prompts` in their order, and from the start again when they run out;
    warm-up requests use them backwards from the end. One user sends all turns of a conversation,
    each once the turn before it has been answered and the think time is over.

    In a closed loop all users are busy during every measured request. A user without a measured
    request to send sends unmeasured ones, with the same prompts from the start: before the last
    user has begun, and after the last measured request was sent until all measured requests have
    ended, in other parts of the plan too (`stop`).

    With `load.duration_s`, no warm-up request and no measured request begins after it.

    Raises ErError when a closed loop has fewer conversations than users.
    """

    def __init__(
        self, prompts: Sequence[Prompt], concurrency: int, load: Load, at: int = 0, of: int = 1
    ) -> None:
        self.users = range(at, concurrency, of)
        self._load = load
        self._concurrency = concurrency
        self._closed = load.arrivals is Arrivals.closed_loop
        self._endless = self._closed and load.duration_s > 0
        self._ends_s = load.duration_s or math.inf
        self._index = at
        self._step = of
        self._failures = 0  # in a row
        self._stopped = False

        wanted = arrivals.count_requests(concurrency, load)
        conversations = _conversations(prompts[turn % len(prompts)] for turn in range(wanted))
        if self._closed and len(conversations) < concurrency:
            raise ErError(
                f"{concurrency} users cannot hold {len(conversations)} conversations: raise "
                "load.requests_per_user to the turns of a conversation, or shorten them"
            )
        warmups = arrivals.count_warmups(concurrency, load)
        begins = concurrency if self._closed else warmups + len(conversations)

        def mine(values: Iterable[T]) -> list[T]:
            """The part of this plan's users in values that all users get in turn."""
            return [value for turn, value in enumerate(values) if turn % concurrency % of == at]

        due_s = arrivals.send_times_s(load, concurrency, begins)
        self._all_begun_s = due_s[-1] if self._closed else 0.0
        self._due_s = mine(due_s)
        self._measured = deque(mine(conversations))
        self._unmeasured = deque(self._measured)
        self._open = 0  # measured conversations that have begun and not ended
        backwards = [prompts[-1 - turn % len(prompts)] for turn in range(warmups)]
        each = load.warmup_requests_per_user
        self._warmup = {user: deque(backwards[user * each :][:each]) for user in self.users}
        self._turns_left: dict[int, Conversation] = {}  # by index of the request in flight

    @property
    def hopeless(self) -> bool:
        """Whether so many requests have failed in a row that all users give up."""
        return self._failures >= max(len(self.users), GIVE_UP_AFTER)

    def measured_all(self, now_s: float) -> bool:
        """Whether every measured request of this part has ended."""
        return not self._open and (not self._measured or now_s >= self._ends_s)

    @property
    def over(self) -> bool:
        """Whether no user begins another request."""
        return self.hopeless or self._stopped

    def stop(self) -> None:
        """Begin no more requests in a closed loop: all measured ones, of every part, have ended."""
        self._stopped = self._stopped or self._closed

    def cut(self) -> None:
        """Begin no more requests, although measured ones are missing."""
        self._stopped = True

    def start(self) -> list[Work]:
        """The requests that are known before the first answer."""
        turns = enumerate(self._due_s)
        works = [self._begin(self.users[at % len(self.users)], due_s) for at, due_s in turns]
        return [work for work in works if work]

    def after(self, request: Request, now_s: float) -> Work | None:
        """The user's next request, if any, after `request` has ended `now_s` after the start."""
        self._failures = self._failures + 1 if request.error else 0
        turns = self._turns_left.pop(request.index, None)
        due_s = now_s + self._load.think_time_s
        if request.measured and not (turns and due_s < self._ends_s):
            self._open -= 1
        if self._step == 1 and self.measured_all(due_s):
            self.stop()
        if self.over:
            return None
        if turns and request.measured and due_s < self._ends_s:
            return self._work(request.user, due_s, turns)
        if turns and not request.measured and not self._measures(due_s):
            return self._work_unmeasured(request.user, due_s, turns)
        return self._begin(request.user, due_s) if self._closed else None

    def _measures(self, due_s: float) -> bool:
        """Whether a request that begins at `due_s` is measured, unless it is a warm-up request."""
        return bool(self._measured) and self._all_begun_s <= due_s < self._ends_s

    def _begin(self, user: int, due_s: float) -> Work | None:
        """The user's next warm-up request, or first request of a conversation, if any is left."""
        if self._warmup[user] and due_s < self._ends_s:
            return self._work(user, due_s, [self._warmup[user].popleft()], warmup=True)
        if self._measures(due_s):
            conversation = self._measured.popleft()
            if self._endless:
                self._measured.append(conversation)
            self._open += 1
            return self._work(user, due_s, conversation)
        if not self._closed or not self._unmeasured:
            return None
        conversation = self._unmeasured.popleft()
        self._unmeasured.append(conversation)
        return self._work_unmeasured(user, due_s, conversation)

    def _work_unmeasured(self, user: int, due_s: float, turns: Conversation) -> Work:
        """A request that keeps its user busy before or after the measured ones."""
        begun = due_s >= self._all_begun_s
        return self._work(user, due_s, turns, warmup=not begun, cooldown=begun)

    def _work(
        self,
        user: int,
        due_s: float,
        turns: Conversation,
        warmup: bool = False,
        cooldown: bool = False,
    ) -> Work:
        prompt = turns[0]
        request = Request(
            concurrency=self._concurrency,
            user=user,
            index=self._index,
            warmup=warmup,
            cooldown=cooldown,
            topic=prompt.topic,
            input_tokens=prompt.input_tokens,
            max_tokens=prompt.output_tokens,
            send_s=0.0,
        )
        if len(turns) > 1:
            self._turns_left[request.index] = turns[1:]
        self._index += self._step
        return Work(due_s, prompt, request)


def _conversations(prompts: Iterable[Prompt]) -> list[Conversation]:
    """Group prompts into conversations: later turns follow their first prompt."""
    conversations: list[Conversation] = []
    for prompt in prompts:
        if prompt.turn and conversations:
            conversations[-1].append(prompt)
        else:
            conversations.append([prompt])
    return conversations
