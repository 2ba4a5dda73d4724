"""A verdict's comparisons in plain sentences, and what would decide one that is open."""

import math
from collections.abc import Mapping, Sequence

from er.claims.comparisons import Comparison, Missing, Outcome
from er.claims.statements import FEWER, QUANTITIES, Claim, name_of
from er.results.labels import count_users
from er.tracking.query import PublishedRun

AT_MOST_TIMES = 100  # as many requests: of a ratio so near to its limit nothing can be promised


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
    interval = f" ({low:.3g} to {high:.3g})" if low < high else ""
    spread = (
        f", standard error {comparison.within:.1%} over requests, "
        f"{comparison.between:.1%} over seeds"
        if comparison.between
        else ""
    )
    return (
        f"at {count_users(at)} {value} is {comparison.ratio:.3g}{' times' if than else ''} {than}"
    ).rstrip() + f"{interval}{spread}"


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
        holding = [c for c in compared if c.outcome is Outcome.holds]
        concurrencies = sorted({c.concurrency for c in compared})
        walked = range_of(concurrencies[0], concurrencies[-1])
        wanted = range_of(*claim.at)
        beyond = "" if walked == wanted else f" (the claim's: {wanted})"
        count = len(compared)
        parts.append(
            f"{len(holding)} of {count} comparison{'s' * (count > 1)} hold{'s' * (count == 1)} "
            f"at {walked}{beyond}"
        )
        for outcome, verb in ((Outcome.fails, "fails"), (Outcome.open, "is open")):
            concurrencies = sorted({c.concurrency for c in compared if c.outcome is outcome})
            if concurrencies:
                parts.append(f"it {verb} at {list_of(concurrencies)}")
    parts += [
        f"{name_of(gap.deployment)} at {count_users(gap.concurrency)}: {gap.reason}"
        for gap in missing[:3]
    ]
    if len(missing) > 3:
        parts.append(f"and {len(missing) - 3} more such points")
    return "; ".join(parts) or f"no point at {range_of(*claim.at)}"


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
