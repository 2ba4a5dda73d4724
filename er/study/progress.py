"""What a person sees while a sweep runs."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from er.config import ClockKind, Config
from er.config.plain import plain
from er.load.arrivals import count_requests
from er.results import labels, terminal
from er.results.point import Point
from er.results.words import count_of
from er.study.time_left import TimeLeft


@dataclass
class Progress:
    """One line that changes on a terminal; one line a point elsewhere.

    The time left follows from what a request and the start of a deployment have taken so far.
    """

    jobs: Sequence[Config]
    console: Console
    job: int = -1
    done: float = 0  # of the total
    job_began_s: float = 0.0
    measuring_since_s: float = 0.0  # 0 until the job's first request has ended
    measured_s: float = 0.0  # of the jobs that are done
    starts_s: list[float] = field(default_factory=list)
    shown_s: float = 0.0
    taken: float = 0.0  # of the total, what was measured before
    time_left: TimeLeft = field(default_factory=TimeLeft)

    @property
    def total(self) -> float:
        """Measured requests of the whole sweep; seconds, where a duration ends its points."""
        return (
            sum(
                config.load.duration_s or count_requests(concurrency, config.load)
                for config in self.jobs
                for concurrency in config.load.concurrency
            )
            - self.taken
        )

    @cached_property
    def names(self) -> list[str]:
        """What lines call the jobs: their titles, where these are alike what tells them apart."""
        titles = [config.title for config in self.jobs]
        names = [labels.run_name(plain(config)) for config in self.jobs]
        alike: dict[str, set[str]] = {}
        for title, name in zip(titles, names, strict=True):
            alike.setdefault(title, set()).add(name)
        return [
            name if len(alike[title]) > 1 else title
            for title, name in zip(titles, names, strict=True)
        ]

    @property
    def name(self) -> str:
        """What lines call the current job."""
        return self.names[self.job]

    def start_job(self) -> None:
        """The next deployment begins."""
        if self.measuring_since_s:
            self.measured_s += time.monotonic() - self.measuring_since_s
        self.job += 1
        self.job_began_s, self.measuring_since_s = time.monotonic(), 0.0

    def take(self, points: Sequence[Point], place: Path) -> None:
        """These points of the current deployment are on disk and not measured again."""
        if not points:
            return
        load = self.jobs[self.job].load
        for point in points:
            self.taken += load.duration_s or count_requests(point.concurrency, load)
        found = _users(points)
        left = len(load.concurrency) - len(points)
        rest = f"{left} to go" if left and not load.find_knee else "nothing is measured again"
        self._print(f"{self._where()}: {found} taken from {place}; {rest}")
        invalid = _users([point for point in points if point.invalid])
        if invalid:
            self._print(
                f"{self._where()}: {invalid} INVALID, and would be again: the same key "
                "makes the same point on the virtual clock"
            )

    def say(self, what: str) -> None:
        """A step of the current deployment."""
        self._show(what)

    def request_done(self, concurrency: int, done: int, counted: bool) -> None:
        """A request of the current point has ended; warm-up requests are not counted."""
        load = self.jobs[self.job].load
        if not load.duration_s:
            self.done += counted
        if not self.measuring_since_s:
            self.measuring_since_s = time.monotonic()
            self.starts_s.append(self.measuring_since_s - self.job_began_s)
        if self.console.is_terminal and time.monotonic() - self.shown_s > 0.1:
            self.shown_s = time.monotonic()
            users = count_of(concurrency, "user")
            of = f"of {count_requests(concurrency, load)}"
            if load.duration_s:
                of = f"in {load.duration_s:g} s"
            self._show(f"{users}, {done} requests {of}{self._left()}")

    def point_done(self, point: Point) -> None:
        """A point is measured."""
        self.done += self.jobs[self.job].load.duration_s
        virtual = self.jobs[self.job].clock.kind is ClockKind.virtual
        valid = "INVALID" if point.invalid else "valid"
        verdict = f"predicted{', INVALID' if point.invalid else ''}" if virtual else valid
        self._print(
            f"{self._where()}: {count_of(point.concurrency, 'user'):>10}, "
            f"{count_of(point.requests, 'request')}, "
            f"TTFT {point.ttft_s.p50 * 1e3:.1f} ms, TPOT {point.tpot_s.p50 * 1e3:.2f} ms, "
            f"{point.tokens_per_s:.0f} tokens/s, {verdict}{self._left()}"
        )

    def tell(self, what: str) -> None:
        """A line that stays."""
        self._print(what)

    def clear(self) -> None:
        """Leave the line to whatever is printed next."""
        if self.console.is_terminal:
            self.console.file.write("\r\x1b[2K")

    def _where(self, short: bool = False) -> str:
        config, name = self.jobs[self.job], self.name
        if short and name == config.title:
            name = config.deployment.id.upper()
        return f"[{self.job + 1}/{len(self.jobs)}] {name}"

    def _left(self) -> str:
        knee = self.jobs[self.job].load.find_knee  # which takes only some of the points
        if knee or not (self.done and self.measuring_since_s):
            return ""
        measured_s = self.measured_s + time.monotonic() - self.measuring_since_s
        starts_left_s = statistics.mean(self.starts_s) * (len(self.jobs) - self.job - 1)
        left_s = measured_s / self.done * (self.total - self.done) + starts_left_s
        minutes, seconds = divmod(round(left_s), 60)
        return f", about {minutes}:{seconds:02d} left" if left_s >= 1 else ""

    def _show(self, what: str) -> None:
        if self.console.is_terminal:
            text, room = f"{self._where()}: {what}", self.console.width - 1
            if len(text) > room:  # the letter of a deployment is short, how long it takes matters
                text = f"{self._where(short=True)}: {what}"
            self.console.file.write(f"\r\x1b[2K{text[:room]}")
            self.console.file.flush()
        else:
            self._print(f"{self._where()}: {what}")

    def _print(self, line: str) -> None:
        self.clear()
        terminal.show(self.console, line)


def _users(points: Sequence[Point]) -> str:
    """`1, 8 users` of points; empty without any."""
    names = ", ".join(str(point.concurrency) for point in points)
    return f"{names} user{'' if names == '1' else 's'}" if names else ""
