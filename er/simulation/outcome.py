"""What a simulated point comes to: requests as users saw them, and exact statistics of all gaps."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.points import MISSING, Point, Summary, summarise
from er.results import Request
from er.simulation.closed_loop import Loop, Segments, Sent, Tables, Work
from er.simulation.cost import NS_PER_S
from er.simulation.jit import compiled

Ints = NDArray[np.int64]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Outcome:
    """One point in virtual time; arrays are in order of sending, cut to what was sent."""

    tables: Tables
    work: Work
    loop: Loop
    sent: Sent
    segments: Segments
    gaps: Ints  # running sums along the context give how many gaps took decode_ns[B, c]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which requests are not warm-up."""
        return self.sent.prompt >= self.work.warmup

    def point(self, concurrency: int, routed: bool) -> Point:
        """Statistics of the measured requests; gaps are pooled over all of them."""
        chosen = self.measured
        prompts = self.sent.prompt[chosen]
        send, first, end = (
            times[chosen] / NS_PER_S
            for times in (self.sent.send_ns, self.sent.first_ns, self.sent.end_ns)
        )
        tokens = self.work.output_tokens[prompts]
        several = tokens > 1
        duration_s = float(end.max() - send.min())
        experts = np.bincount(self.work.engine[prompts]) if routed else np.zeros(0, np.int64)
        return Point(
            concurrency=concurrency,
            requests=len(prompts),
            errors=0,
            invalid=[],
            duration_s=duration_s,
            tokens_per_s=float(tokens.sum()) / duration_s,
            requests_per_s=len(prompts) / duration_s,
            input_tokens_mean=float(self.work.input_tokens[prompts].mean()),
            output_tokens_mean=float(tokens.mean()),
            ttft_s=summary_of(first - send),
            tpot_s=summary_of((end - first)[several] / (tokens[several] - 1)),
            itl_s=self.gap_summary(),
            e2e_s=summary_of(end - send),
            token_lateness_p50=MISSING,
            experts={str(e): int(count) for e, count in enumerate(experts) if count},
        )

    def gap_summary(self) -> Summary:
        """Exact statistics of the time between two tokens, over every gap of measured requests."""
        values, counts = pooled(self.gaps, self.tables.decode_ns)
        with_prompts = self.segments.context < 0 if len(self.segments.context) else slice(None)
        values = np.concatenate([values, self.segments.duration_ns[with_prompts]])
        counts = np.concatenate([counts, self.segments.counted[with_prompts]])
        return weighted_summary(values / NS_PER_S, counts)

    def requests(self, concurrency: int, routed: bool, topics: list[str]) -> list[Request]:
        """Every request with the time of each of its tokens, in order of sending.

        Needs the segments of all steps. `topics` are those of the prompts.
        """
        times = self.token_times_s()
        return [
            Request(
                concurrency=concurrency,
                user=int(self.sent.user[r]),
                index=r,
                warmup=bool(self.sent.prompt[r] < self.work.warmup),
                topic=topics[self.sent.prompt[r]],
                input_tokens=int(self.work.input_tokens[self.sent.prompt[r]]),
                max_tokens=int(self.work.output_tokens[self.sent.prompt[r]]),
                send_s=float(self.sent.send_ns[r] / NS_PER_S),
                token_times_s=times[r],
                end_s=float(self.sent.end_ns[r] / NS_PER_S),
                status=200,
                expert=int(self.work.engine[self.sent.prompt[r]]) if routed else -1,
            )
            for r in range(len(self.sent.prompt))
        ]

    def token_times_s(self) -> list[list[float]]:
        """When each token of each request reached its user."""
        ends: dict[int, Any] = {}
        for engine in np.unique(self.segments.engine):
            mine = np.flatnonzero(self.segments.engine == engine)
            ends[int(engine)] = np.concatenate([self.step_ends_ns(segment) for segment in mine])
        times = []
        for r, prompt in enumerate(self.sent.prompt):
            first = self.sent.iteration[r]
            steps = slice(first, first + self.work.output_tokens[prompt])
            mine = ends[int(self.work.engine[prompt])][steps] + self.loop.reply_delay_ns
            times.append((mine / NS_PER_S).tolist())
        return times

    def step_ends_ns(self, segment: int) -> Ints:
        """End of every iteration of a segment."""
        start, steps = self.segments.start_ns[segment], self.segments.steps[segment]
        context = self.segments.context[segment]
        if context < 0:
            return np.array([start + self.segments.duration_ns[segment]])
        until_ns = self.tables.until_ns[self.segments.decoding[segment]]
        ends: Ints = start + until_ns[context + 1 : context + 1 + steps] - until_ns[context]
        return ends


@compiled
def pooled(gaps: Ints, decode_ns: Ints) -> tuple[Ints, Ints]:
    """The step times that occurred, and how many gaps took each."""
    rows, columns = decode_ns.shape
    cells = 0
    for b in range(rows):
        count = 0
        for c in range(columns):
            count += gaps[b, c]
            cells += count > 0
    values = np.empty(cells, np.int64)
    counts = np.empty(cells, np.int64)
    at = 0
    for b in range(rows):
        count = 0
        for c in range(columns):
            count += gaps[b, c]
            if count > 0:
                values[at] = decode_ns[b, c]
                counts[at] = count
                at += 1
    return values, counts


def summary_of(values: NDArray[np.float64]) -> Summary:
    """Order statistics of plain values."""
    return summarise(values) if len(values) else Summary()  # type: ignore[arg-type]


def weighted_summary(values: NDArray[np.float64], counts: Ints) -> Summary:
    """Order statistics of values that occur `counts` times, as `summarise` gives them of the
    values written out: linear between neighbours."""
    total = int(counts.sum())
    if not total:
        return Summary()
    order = np.argsort(values)
    ranks = np.cumsum(counts[order])
    ordered = values[order]

    def quantile(q: float) -> float:
        at = q * (total - 1)
        low, high = (
            ordered[np.searchsorted(ranks, rank, "right")]
            for rank in (math.floor(at), math.ceil(at))
        )
        return float(low + (at % 1) * (high - low))

    mean = float((values * counts).sum() / total)
    low, p25, p50, p75, p95, p99, top = (quantile(q) for q in QUANTILES)
    return Summary(total, mean, low, p25, p50, p75, p95, p99, top)
