"""The results of a simulated point: requests as users saw them, exact statistics of all gaps."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from er.results.point import MISSING, Point, Summary, summarise
from er.simulation.cost import NS_PER_S
from er.simulation.jit import compiled
from er.simulation.tables import Pause, Prompts, Segment, Sent, Tables, Times
from er.simulation.users import Counted, Flags, Loop

Ints = NDArray[np.int64]
Table = NDArray[np.int32]
FAILED = "expert failed"
ANSWERED, NO_ANSWER = 200, 0  # status of HTTP
NOTHING = np.zeros(0, np.int64)
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Outcome:
    """One point in virtual time."""

    tables: Tables
    prompts: Table  # columns Prompts
    warmup: int  # how many of the prompts are warm-up
    loop: Loop
    sent: Table  # columns Sent, in order of sending
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

    def point(self, concurrency: int, routed: bool) -> Point:
        """Statistics of the measured requests that were answered in full; gaps are pooled over all
        that were measured. Whether to believe it is not judged here.

        In a closed loop, throughput is that of the steady window; see `er.results.point`. Its
        tokens are counted at the engines, as long, but later by the way there.
        """
        answered = self.measured & (self.sent[:, Sent.failed] == 0)
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
            (sent[:, Sent.failed] == 0)
            & ((first - send) / NS_PER_S <= ttft_at_most_s)
            & ((end - first) / NS_PER_S / gaps <= tpot_at_most_s)
        )
        return float(kept.mean()) if len(kept) else MISSING

    def window_s(self) -> tuple[float, float]:
        """When the first measured request was sent and the last one ended: in an open loop, of
        those that were answered; 0, 0 without any."""
        counts = self.measured
        if self.loop.once:
            counts &= self.sent[:, Sent.failed] == 0
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

    def requests(self, concurrency: int, routed: bool, topics: list[str]) -> pa.Table:
        """A row for each request, in order of sending, with the columns of `er.results.Request` and
        its latencies in seconds, NaN where it failed; `topics` are those of the prompts.

        Needs recorded steps.
        """
        rows = self.sent
        count = len(rows)
        prompts = self.prompts[rows[:, Sent.prompt]]
        tokens, times_s = self.token_times_s()
        ends = np.cumsum(tokens)
        send_s, end_s = self.spans_s().T
        first_s = np.full(count, np.nan)
        first_s[tokens > 0] = times_s[(ends - tokens)[tokens > 0]]
        failed = rows[:, Sent.failed] == 1
        ok = ~failed & (tokens > 0)
        ttft_s, e2e_s = (np.where(ok, at - send_s, np.nan) for at in (first_s, end_s))
        several = np.where(tokens > 1, tokens - 1, np.nan)
        before = send_s < send_s[self.measured].min(initial=math.inf)
        before |= rows[:, Sent.prompt] < self.warmup
        columns = {
            "concurrency": np.full(count, concurrency),
            "user": rows[:, Sent.user].astype(np.int64) % concurrency,
            "index": np.arange(count),
            "warmup": ~self.measured & before,
            "topic": [topics[prompt] for prompt in rows[:, Sent.prompt]],
            "input_tokens": prompts[:, Prompts.input].astype(np.int64),
            "max_tokens": prompts[:, Prompts.output].astype(np.int64),
            "send_s": send_s,
            "token_times_s": lists(tokens, times_s),
            "end_s": end_s,
            "status": np.where(ok | (tokens > 0), ANSWERED, NO_ANSWER),
            "error": np.where(failed, FAILED, ""),
            "expert": rows[:, Sent.engine].astype(np.int64) if routed else np.full(count, -1),
            "text": np.full(count, ""),
            "token_lateness": lists(np.zeros(count, np.int64), np.zeros(0)),
            "intended_s": send_s,
            "reasoning_tokens": np.zeros(count, np.int64),
            "first_answer_s": np.where(tokens > 0, first_s, 0.0),
            "usage_tokens": np.full(count, -1),
            "retries": np.zeros(count, np.int64),
            "cooldown": ~self.measured & ~before,
            "output_tokens": tokens,
            "ok": ok,
            "ttft_s": ttft_s,
            "tpot_s": (e2e_s - ttft_s) / several,
            "e2e_s": e2e_s,
        }
        return pa.table(columns)

    def token_times_s(self) -> tuple[Ints, NDArray[np.float64]]:
        """How many tokens each request received, and when its user did, one request after the
        other. Between two pauses a request gets a token in every iteration of its engine."""
        segments = self.segments[np.argsort(self.segments[:, Segment.engine], kind="stable")]
        ends_ns = self.step_ends_ns(segments)
        count, paused = len(self.sent), self.pauses[:, Pause.request]
        before = np.bincount(paused, self.pauses[:, Pause.tokens], count).astype(np.int64)
        request = np.concatenate([paused, np.arange(count)])
        order = np.argsort(request, kind="stable")
        engine = self.sent[request[order], Sent.engine]
        steps = np.zeros(int(engine.max(initial=0)) + 1, np.int64)  # of each engine
        np.add.at(steps, segments[:, Segment.engine], segments[:, Segment.steps])
        last = self.prompts[self.sent[:, Sent.prompt], Prompts.output] - before
        wanted = np.concatenate([self.pauses[:, Pause.tokens], last])[order]
        first = np.concatenate([self.pauses[:, Pause.iteration], self.sent[:, Sent.iteration]])
        first = first[order]
        tokens = np.clip(steps[engine] - first, 0, wanted)
        at = (np.cumsum(steps) - steps)[engine] + first
        times_ns = ends_ns[counting(at, tokens)] + self.loop.reply_delay_ns
        received = np.bincount(request[order], tokens, count).astype(np.int64)
        return received, times_ns / NS_PER_S

    def step_ends_ns(self, segments: Ints) -> Ints:
        """End of every iteration of the segments, one after the other."""
        start_ns, context = segments[:, Segment.start_ns], segments[:, Segment.context]
        steps, decoding = segments[:, Segment.steps], segments[:, Segment.decoding]
        until_ns = self.tables.until_ns
        mixed = context < 0
        # A step with prompts ends where it was seen to end, the others where the tables say.
        base = np.where(mixed, segments[:, Segment.duration_ns], -until_ns[decoding, context])
        row = np.repeat(np.where(mixed, 0, decoding), steps)
        column = counting(np.where(mixed, -1, context) + 1, steps)
        ends: Ints = until_ns[row, column] + np.repeat(start_ns + base, steps)
        return ends


def counting(first: Ints, counts: Ints) -> Ints:
    """For each i the numbers first[i], first[i] + 1... `counts[i]` of them, one after the other."""
    before = np.cumsum(counts) - counts
    numbers: Ints = np.arange(int(counts.sum())) + np.repeat(first - before, counts)
    return numbers


def lists(counts: Ints, values: NDArray[np.float64]) -> pa.Array:
    """A column whose row i is a list of the next `counts[i]` values."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values)


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
