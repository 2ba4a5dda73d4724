"""A verdict's comparisons in plain sentences, and what would decide one that is open."""

import math
from collections.abc import Mapping, Sequence

from er.claims.comparisons import FEW, Comparison, Missing, Outcome
from er.claims.resamples import REQUESTS_AT_LEAST
from er.claims.statements import FEWER, QUANTITIES, Claim, name_of
from er.results.labels import count_users
from er.tracking.query import PublishedRun

SMALL = 0.01  # below it a ratio is one over a number
AT_MOST_TIMES = 100  # as many requests: of a ratio so near to its limit nothing can be promised
OUTCOMES = (
    (Outcome.holds, "holds", "hold"),
    (Outcome.fails, "fails", "fail"),
    (Outcome.open, "is open", "are open"),
)


def describe(claim: Claim, comparison: Comparison) -> str:
    """Such as "at 8 users A's median time to first token is 0.54 times D's (0.51 to 0.57)"."""
    at, low, high = comparison.concurrency, comparison.low, comparison.high
    value = f"{name_of(comparison.of)}'s {QUANTITIES[claim.quantity]}"
    base = claim.relative_to
    if base and comparison.than:
        value += f" over its own at {'fewer users' if base == FEWER else count_users(int(base))}"
    than = f"{name_of(comparison.than)}'s" if comparison.than else ""
    if base and not comparison.than:
        than = f"that at {'fewer users' if base == FEWER else count_users(int(base))}"
    small = bool(than) and comparison.ratio < SMALL
    low_words, high_words = (number_of(end, small) for end in (low, high))
    interval = f" ({low_words} to {high_words})" if low < high else ""
    spread = (
        f", standard error {comparison.within:.1%} over requests, "
        f"{comparison.between:.1%} over seeds"
        if comparison.between
        else ""
    )
    times = (" of" if small else " times") if than else ""
    return (
        f"at {count_users(at)} {value} is {number_of(comparison.ratio, small)}{times} {than}"
    ).rstrip() + f"{interval}{spread}"


def number_of(ratio: float, small: bool) -> str:
    """Three digits of it, such as 0.54, 1,520, or of a small one 1/1,520."""
    if small:
        return f"1/{number_of(1 / ratio, small=False)}"
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def reason_of(
    claim: Claim,
    absent: Sequence[str],
    unlike: Sequence[str],
    compared: Sequence[Comparison],
    missing: Sequence[Missing],
) -> str:
    """Which comparisons hold and which do not, or why there are none, in one line."""
    if absent:
        return f"no run of {', '.join(absent)}"
    if unlike:
        return f"the runs differ in {', '.join(unlike)}: they cannot be held against each other"
    parts = []
    if compared:
        ladder = sorted({c.concurrency for c in compared})
        walked = range_of(ladder[0], ladder[-1])
        wanted = range_of(*claim.at)
        beyond = "" if walked == wanted else f" (the claim's: {wanted})"
        count = len(compared)
        comparisons = "its comparison" if count == 1 else f"of {count} comparisons"
        parts.append(f"{comparisons} at {walked}{beyond} {counts_of(claim, compared, ladder)}")
    parts += [
        f"{name_of(gap.deployment)} at {count_users(gap.concurrency)}: {gap.reason}"
        for gap in missing[:3]
    ]
    if len(missing) > 3:
        parts.append(f"and {len(missing) - 3} more such points")
    return "; ".join(parts) or f"no point at {range_of(*claim.at)}"


def counts_of(claim: Claim, compared: Sequence[Comparison], ladder: Sequence[int]) -> str:
    """Such as "14 fail, 6 are open (B at 1 to 200 users)": of those that hold only how many."""
    counts = []
    for outcome, one, several in OUTCOMES:
        found = [c for c in compared if c.outcome is outcome]
        if not found:
            continue
        verb = one if len(found) == 1 else several
        if len(found) == len(compared):
            return verb if len(found) == 1 else f"all {verb}"
        which = "" if outcome is Outcome.holds else f" ({which_of(claim, found, ladder)})"
        counts.append(f"{len(found)} {verb}{which}")
    return ", ".join(counts)


def which_of(claim: Claim, found: Sequence[Comparison], ladder: Sequence[int]) -> str:
    """Such as "A, B at 500, 1,000 users; C at 10 users": by what tells comparisons apart."""
    at: dict[str, list[int]] = {}
    for comparison in found:
        at.setdefault(name_of_pair(claim, comparison), []).append(comparison.concurrency)
    names: dict[str, list[str]] = {}
    for name, concurrencies in at.items():
        names.setdefault(steps_of(sorted(concurrencies), ladder), []).append(name)
    parts = [f"{', '.join(filter(None, several))} at {where}" for where, several in names.items()]
    return "; ".join(parts).strip()


def name_of_pair(claim: Claim, comparison: Comparison) -> str:
    """The deployment that differs between the comparisons of a claim; empty where none does."""
    of, than = name_of(comparison.of), name_of(comparison.than)
    if len(claim.of) > 1 and len(claim.than) > 1:
        return f"{of} and {than}"
    if len(claim.than) > 1:
        return than
    return of if len(claim.of) > 1 else ""


def steps_of(concurrencies: Sequence[int], ladder: Sequence[int]) -> str:
    """Such as "1, 10 to 100, 500 users": from and to only where no step of the ladder is left out
    between them."""
    spans: list[list[int]] = []
    for concurrency in concurrencies:
        if spans and ladder.index(concurrency) == ladder.index(spans[-1][-1]) + 1:
            spans[-1].append(concurrency)
        else:
            spans.append([concurrency])
    parts = []
    for span in spans:
        several = len(span) > 2
        parts += [f"{span[0]:,} to {span[-1]:,}"] if several else [f"{each:,}" for each in span]
    return f"{', '.join(parts)} user{'' if concurrencies == [1] else 's'}"


def would_decide(
    claim: Claim,
    outcome: Outcome,
    runs: Mapping[str, Sequence[PublishedRun]],
    unlike: Sequence[str],
    compared: Sequence[Comparison],
    missing: Sequence[Missing],
) -> str:
    """What to measure for a verdict; empty where there is one."""
    absent = absent_of(claim, runs)
    if outcome is not Outcome.open:
        return ""
    if absent:
        return f"runs of {', '.join(absent)}"
    if unlike:
        return f"runs with the same {', '.join(unlike)}"
    if missing:
        concurrencies = sorted({gap.concurrency for gap in missing})
        if all(gap.reason.startswith(FEW) for gap in missing):
            where = list_of(concurrencies)
            return (
                f"{REQUESTS_AT_LEAST} requests a point or more (load.requests_at_least) at {where}"
            )
        return f"valid points at {list_of(concurrencies)}"
    if not compared:
        return f"points at {range_of(*claim.at)}: set load.concurrency"
    unsure = sorted({c.concurrency for c in compared if c.unsure})
    if unsure:
        return f"a measurement at {list_of(unsure)}: the prediction is not sure enough"
    return more_of(claim, [c for c in compared if c.outcome is Outcome.open], runs)


def more_of(
    claim: Claim, open_: Sequence[Comparison], runs: Mapping[str, Sequence[PublishedRun]]
) -> str:
    """How many requests, or seeds, would make the intervals of open comparisons narrow enough.

    A standard error falls with the square root of their number.
    """
    where = list_of(sorted({c.concurrency for c in open_}))
    times = max(narrowing(claim, comparison) ** 2 for comparison in open_)
    if times > AT_MOST_TIMES:
        return (
            f"no number of requests that could be named: at {where} the ratio is too near to "
            f"{claim.factor:g}"
        )
    if any(comparison.between > comparison.within for comparison in open_):
        seeds = min(len(several) for several in runs.values())
        return f"about {math.ceil(times * seeds)} seeds (repeats) at {where}, if the ratio stays"
    used = [run for name in claim.deployments for run in runs[name]]
    concurrencies = {comparison.concurrency for comparison in open_}
    requests = max(
        point.requests for run in used for point in run.points if point.concurrency in concurrencies
    )
    return (
        f"about {math.ceil(times * requests):,} requests a point at {where} "
        "(load.requests_at_least), if the ratio stays"
    )


def narrowing(claim: Claim, comparison: Comparison) -> float:
    """By what an interval must be divided to leave the claim's limit outside."""
    ratio, factor = math.log(comparison.ratio), math.log(claim.factor)
    limits = (factor, -factor) if claim.is_.value == "within" else (factor,)
    distance = min(abs(ratio - limit) for limit in limits)
    half = math.log(comparison.high) - ratio
    return half / distance if distance > 0 else math.inf


def absent_of(claim: Claim, runs: Mapping[str, Sequence[PublishedRun]]) -> list[str]:
    """The deployments of a claim that were not run."""
    return [name_of(name) for name in claim.deployments if name not in runs]


def range_of(first: int, last: int) -> str:
    """Such as "1 to 8 users"."""
    return count_users(first) if first == last else f"{first:,} to {count_users(last)}"


def list_of(concurrencies: Sequence[int]) -> str:
    """A few by themselves, of many the first and the last."""
    if len(concurrencies) <= 4:
        *others, last = concurrencies
        return ", ".join([*(f"{n:,}" for n in others), count_users(last)])
    return range_of(concurrencies[0], concurrencies[-1])
