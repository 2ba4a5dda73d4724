"""What a simulated point comes to: requests as users saw them, and exact statistics of all gaps."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er.points import MISSING, Point, Summary, summarise
from er.results import Request
from er.simulation.closed_loop import Loop, Prompts, Segment, Sent, Tables
from er.simulation.cost import NS_PER_S
from er.simulation.jit import compiled

Ints = NDArray[np.int64]
Table = NDArray[np.int32]
FAILED = "expert failed"
NOTHING = np.zeros(0, np.int64)
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Outcome:
    """One point in virtual time."""

    tables: Tables
    prompts: Table  # columns Prompts
    warmup: int  # how many of the prompts are warm-up
    loop: Loop
    sent: Ints  # columns Sent, in order of sending
    segments: Ints  # columns Segment, the first two of them only unless steps were recorded
    gaps: Ints  # running sums along the context give how many gaps took decode_ns[B, c]

    def point(self, concurrency: int, routed: bool) -> Point:
        """Statistics of the measured requests that were answered in full; gaps are pooled over all
        that were measured."""
        measured = self.sent[self.sent[:, Sent.prompt] >= self.warmup]
        sent = measured[measured[:, Sent.failed] == 0]
        errors = len(measured) - len(sent)
        send, first, end = (
            sent[:, column] / NS_PER_S for column in (Sent.send_ns, Sent.first_ns, Sent.end_ns)
        )
        prompts = self.prompts[sent[:, Sent.prompt]]
        tokens = prompts[:, Prompts.output]
        several = tokens > 1
        duration_s = float(end.max() - send.min()) if len(sent) else float("inf")
        chosen = self.prompts[measured[:, Sent.prompt], Prompts.engine]
        experts = np.bincount(chosen) if routed else NOTHING
        return Point(
            concurrency=concurrency,
            requests=len(measured),
            errors=errors,
            invalid=[f"{errors} requests ended with their expert"] if errors else [],
            duration_s=duration_s,
            tokens_per_s=float(tokens.sum()) / duration_s,
            requests_per_s=len(sent) / duration_s,
            input_tokens_mean=float(prompts[:, Prompts.input].mean()) if len(sent) else MISSING,
            output_tokens_mean=float(tokens.mean()) if len(sent) else MISSING,
            ttft_s=summary_of(first - send),
            tpot_s=summary_of((end - first)[several] / (tokens[several] - 1)),
            itl_s=self.gap_summary(),
            e2e_s=summary_of(end - send),
            token_lateness_p50=MISSING,
            experts={str(e): int(count) for e, count in enumerate(experts) if count},
            error_causes={FAILED: errors} if errors else {},
        )

    def gap_summary(self) -> Summary:
        """Exact statistics of the time between two tokens, over every gap of measured requests."""
        values, counts = pooled(self.gaps, self.tables.decode_ns)
        mixed = self.segments
        if mixed.shape[1] > Segment.context:
            mixed = mixed[mixed[:, Segment.context] < 0]
        values = np.concatenate([values, mixed[:, Segment.duration_ns]])
        counts = np.concatenate([counts, mixed[:, Segment.counted]])
        return weighted_summary(values / NS_PER_S, counts)

    def requests(self, concurrency: int, routed: bool, topics: list[str]) -> list[Request]:
        """Every request with the time of each of its tokens, in order of sending.

        Needs recorded steps. `topics` are those of the prompts.
        """
        times = self.token_times_s()
        made = []
        for r, sent in enumerate(self.sent):
            prompt = self.prompts[sent[Sent.prompt]]
            made.append(
                Request(
                    concurrency=concurrency,
                    user=int(sent[Sent.user]),
                    index=r,
                    warmup=bool(sent[Sent.prompt] < self.warmup),
                    topic=topics[sent[Sent.prompt]],
                    input_tokens=int(prompt[Prompts.input]),
                    max_tokens=int(prompt[Prompts.output]),
                    send_s=float(sent[Sent.send_ns] / NS_PER_S),
                    token_times_s=times[r],
                    end_s=float(sent[Sent.end_ns] / NS_PER_S),
                    status=200,
                    error=FAILED if sent[Sent.failed] else "",
                    expert=int(prompt[Prompts.engine]) if routed else -1,
                )
            )
        return made

    def token_times_s(self) -> list[list[float]]:
        """When each token of each request reached its user."""
        ends: dict[int, Ints] = {}
        for engine in np.unique(self.segments[:, Segment.engine]):
            mine = self.segments[self.segments[:, Segment.engine] == engine]
            ends[int(engine)] = np.concatenate([self.step_ends_ns(segment) for segment in mine])
        times = []
        for sent in self.sent:
            prompt = self.prompts[sent[Sent.prompt]]
            first = sent[Sent.iteration]
            mine = ends.get(int(prompt[Prompts.engine]), NOTHING)[
                first : first + prompt[Prompts.output]
            ]
            times.append(((mine + self.loop.reply_delay_ns) / NS_PER_S).tolist())
        return times

    def step_ends_ns(self, segment: Ints) -> Ints:
        """End of every iteration of a segment."""
        start_ns, context = segment[Segment.start_ns], segment[Segment.context]
        if context < 0:
            return np.array([start_ns + segment[Segment.duration_ns]])
        until_ns = self.tables.until_ns[segment[Segment.decoding]]
        after = until_ns[context + 1 : context + 1 + segment[Segment.steps]]
        ends: Ints = after - until_ns[context] + start_ns
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
    return summarise(values)


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
