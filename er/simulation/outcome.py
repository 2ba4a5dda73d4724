"""The results of a simulated point: exact statistics of all its requests and gaps."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er.results.point import MISSING, Point, Summary, summarise
from er.simulation.cost import NS_PER_S
from er.simulation.jit import compiled
from er.simulation.tables import Pause, Prompts, Segment, Sent, Tables, Times
from er.simulation.users import Counted, Flags, Loop

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
    sent: Table  # columns Sent, the first four of them at least, in order of sending
    times: Ints  # columns Times, of the same requests
    segments: Ints  # columns Segment, the first two of them only unless steps were recorded
    pauses: Ints  # columns Pause, in order of time
    gaps: Ints  # running sums along the context give how many gaps took decode_ns[B, c]
    counted: Counted

    @property
    def measured(self) -> Flags:
        """Of each request, whether it is measured."""
        prompt = self.sent[:, Sent.prompt]
        first_unmeasured = len(self.prompts) - self.loop.unmeasured
        flags: Flags = (prompt >= self.warmup) & (prompt < first_unmeasured)
        return flags

    @property
    def failed(self) -> Flags:
        """Of each request, whether its engine failed."""
        if self.sent.shape[1] <= Sent.failed:
            return np.zeros(len(self.sent), np.bool_)
        flags: Flags = self.sent[:, Sent.failed] == 1
        return flags

    def point(self, concurrency: int, routed: bool) -> Point:
        """Statistics of the measured requests that were answered in full; gaps are pooled over all
        that were measured. Whether to believe it is not judged here.

        In a closed loop, throughput is that of the steady window; see `er.results.point`. Its
        tokens are counted at the engines, as long, but later by the way there.
        """
        answered = self.measured & ~self.failed
        measured, sent = self.sent[self.measured], self.sent[answered]
        errors = len(measured) - len(sent)
        send, first, end = self.times[answered].T / NS_PER_S
        prompts = self.prompts[sent[:, Sent.prompt]]
        tokens = prompts[:, Prompts.output]
        several = tokens > 1
        from_s, until_s = self.window_s()
        duration_s = until_s - from_s
        throughput = float(tokens.sum() if self.loop.once else self.counted.tokens)
        ended = end if self.loop.once else self.times[:, Times.end_ns] / NS_PER_S
        ended = ended[(ended > from_s) & (ended <= until_s)]
        ttft_s = summary_of(first - send)
        chosen = measured[:, Sent.engine]
        experts = np.bincount(chosen) if routed else NOTHING
        return Point(
            concurrency=concurrency,
            requests=len(measured),
            errors=errors,
            invalid=[],
            duration_s=duration_s,
            tokens_per_s=throughput / duration_s if len(sent) else 0.0,
            requests_per_s=len(ended) / duration_s if len(sent) else 0.0,
            input_tokens_mean=float(prompts[:, Prompts.input].mean()) if len(sent) else MISSING,
            output_tokens_mean=float(tokens.mean()) if len(sent) else MISSING,
            ttft_s=ttft_s,
            ttft_intended_s=ttft_s,  # nobody sends late
            answer_ttft_s=ttft_s,  # nobody reasons
            tpot_s=summary_of((end - first)[several] / (tokens[several] - 1)),
            itl_s=self.gap_summary(),
            e2e_s=summary_of(end - send),
            token_lateness_p50=MISSING,
            experts={str(e): int(count) for e, count in enumerate(experts) if count},
            error_causes={FAILED: errors} if errors else {},
        )

    def goodput(self, ttft_at_most_s: float, tpot_at_most_s: float) -> float:
        """Share of the measured requests that were answered in full within both limits."""
        sent = self.sent[self.measured]
        send, first, end = self.times[self.measured].T
        gaps = np.maximum(self.prompts[sent[:, Sent.prompt], Prompts.output] - 1, 1)
        kept = (
            ~self.failed[self.measured]
            & ((first - send) / NS_PER_S <= ttft_at_most_s)
            & ((end - first) / NS_PER_S / gaps <= tpot_at_most_s)
        )
        return float(kept.mean()) if len(kept) else MISSING

    def window_s(self) -> tuple[float, float]:
        """When the first measured request was sent and the last one ended: in an open loop, of
        those that were answered; 0, 0 without any."""
        counts = self.measured
        if self.loop.once:
            counts &= ~self.failed
        send_ns, _, end_ns = self.times[counts].T
        if not counts.any():
            return 0.0, 0.0
        return float(send_ns.min()) / NS_PER_S, float(end_ns.max()) / NS_PER_S

    def spans_s(self) -> NDArray[np.float64]:
        """When every request, unmeasured ones too, was sent and ended: (requests, 2)."""
        spans: NDArray[np.float64] = self.times[:, [Times.send_ns, Times.end_ns]] / NS_PER_S
        return spans

    def gap_summary(self) -> Summary:
        """Exact statistics of the time between two tokens, over every gap of measured requests."""
        values, counts = pooled(self.gaps, self.tables.decode_ns)
        mixed = self.segments
        if mixed.shape[1] > Segment.context:
            mixed = mixed[mixed[:, Segment.context] < 0]
        pauses = self.pauses[self.pauses[:, Pause.resumed_ns] > 0]
        paused_ns = pauses[:, Pause.resumed_ns] - pauses[:, Pause.paused_ns]
        measured = self.measured[pauses[:, Pause.request]]
        values = np.concatenate([values, mixed[:, Segment.duration_ns], paused_ns])
        counts = np.concatenate([counts, mixed[:, Segment.counted], measured])
        return weighted_summary(values / NS_PER_S, counts)


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
