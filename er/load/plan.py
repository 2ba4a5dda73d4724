"""Who sends what when: a closed loop, arrivals on their own clock, or bursts."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from er.config import Arrivals, Load
from er.errors import ErError
from er.load import arrivals
from er.results.request import Prompt, Request

GIVE_UP_AFTER = 3  # failures in a row, or as many as there are users if that is more
T = TypeVar("T")

Conversation = list[Prompt]  # its turns in order; most have one


@dataclass(frozen=True)
class Work:
    """One request to come."""

    due_s: float  # since the start of the point
    prompt: Prompt
    request: Request


class Plan:
    """What the users of one point send, or every `of`-th of them from `at`.

    Measured requests send `prompts` in their order, from the start again when they run out;
    warm-up requests send them from the end backwards. The turns of one conversation are sent by
    one user, each when the turn before it was answered and the user has thought.

    In a closed loop every measured request meets all users at work: a user without a
    measured request to send goes on, unmeasured, with the same prompts from their start: until the
    last user has begun, and from the last measured request's sending until all of them have ended,
    those of other parts of the plan too (`stop`).

    With `load.duration_s` no measured request begins after it, nor a warm-up one.

    Raises ErError when there are fewer conversations than users in a closed loop.
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
            """Of what all users get by turns, the part of this plan's users."""
            return [value for turn, value in enumerate(values) if turn % concurrency % of == at]

        due_s = arrivals.send_times_s(load, concurrency, begins)
        self._all_begun_s = due_s[-1] if self._closed else 0.0
        self._due_s = mine(due_s)
        self._measured = deque(mine(conversations))
        self._unmeasured = deque(self._measured)
        self._open = 0  # measured conversations under way
        backwards = [prompts[-1 - turn % len(prompts)] for turn in range(warmups)]
        each = load.warmup_requests_per_user
        self._warmup = {user: deque(backwards[user * each :][:each]) for user in self.users}
        self._turns_left: dict[int, Conversation] = {}  # by index of the request under way

    @property
    def hopeless(self) -> bool:
        """Whether so many requests in a row have failed that all users give up."""
        return self._failures >= max(len(self.users), GIVE_UP_AFTER)

    def measured_all(self, now_s: float) -> bool:
        """Whether every measured request of this part has ended."""
        return not self._open and (not self._measured or now_s >= self._ends_s)

    @property
    def over(self) -> bool:
        """Whether nobody begins anything any more."""
        return self.hopeless or self._stopped

    def stop(self) -> None:
        """All measured requests, of every part, have ended: nobody begins another."""
        self._stopped = self._stopped or self._closed

    def cut(self) -> None:
        """Nobody begins another request, though measured ones are missing."""
        self._stopped = True

    def start(self) -> list[Work]:
        """What is known before the first answer."""
        turns = enumerate(self._due_s)
        works = [self._begin(self.users[at % len(self.users)], due_s) for at, due_s in turns]
        return [work for work in works if work]

    def after(self, request: Request, now_s: float) -> Work | None:
        """What the end of `request`, `now_s` after the start, brings; notes how it ended."""
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
        """Whether what begins at a time is measured, warm-up aside."""
        return bool(self._measured) and self._all_begun_s <= due_s < self._ends_s

    def _begin(self, user: int, due_s: float) -> Work | None:
        """The user's next warm-up request or conversation; None when there is no more."""
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
    """Prompts with their follow-ups, which stand behind them."""
    conversations: list[Conversation] = []
    for prompt in prompts:
        if prompt.turn and conversations:
            conversations[-1].append(prompt)
        else:
            conversations.append([prompt])
    return conversations
