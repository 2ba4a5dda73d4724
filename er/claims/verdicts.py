"""The verdict on a claim, from valid points."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from er.claims.comparisons import Comparison, Missing, Outcome, compare
from er.claims.resamples import Resamples
from er.claims.statements import Claim, Relation
from er.results import repeats
from er.results.labels import count_users
from er.tracking.query import PublishedRun

WORDS = {
    "measured": ("reproduced", "not reproduced"),
    "simulated": ("reproduced in simulation", "not reproduced in simulation"),
    "predicted": ("predicted", "predicted not to hold"),
}
UNDECIDED = "not decidable"
METRIC = {Outcome.holds: 1.0, Outcome.fails: 0.0}  # an undecided claim has no metric


@dataclass(frozen=True)
class Verdict:
    """What the runs of a study say of a claim."""

    claim: Claim
    outcome: Outcome
    word: str
    reason: str
    would_decide: str  # empty where it is decided
    effect: Comparison | None  # the comparison that is nearest to not being as claimed, or farthest
    comparisons: list[Comparison]
    runs: list[str]  # ids of the runs themselves
    mlflow_runs: list[str]  # of the same, in the store that they were read from
    engine_kind: str
    clock: str
    repeats: int

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        values = {**asdict(self), "formula": self.claim.formula, "outcome": self.outcome.value}
        values["claim"]["is_"] = self.claim.is_.value
        for entry in [*values["comparisons"], values["effect"] or {}]:
            if entry:
                entry["outcome"] = Outcome(entry["outcome"]).value
        return values


def decide(claims: Sequence[Claim], runs: Sequence[PublishedRun]) -> list[Verdict]:
    """A verdict on each claim.

    Runs of one deployment that differ in the seed alone are repeats; of those that differ in more
    only the newest counts.
    """
    chosen = repeats_of(runs)
    drawn = Resamples([run for several in chosen.values() for run in several])
    return [_decide(claim, chosen, drawn) for claim in claims]


def repeats_of(runs: Sequence[PublishedRun]) -> dict[str, list[PublishedRun]]:
    """By deployment: the newest run, and those that differ from it in the seed alone."""
    found: dict[str, list[PublishedRun]] = {}
    for run in sorted(runs, key=lambda run: run.started, reverse=True):
        same = found.setdefault(run.deployment, [run])
        known = {other.config["seed"] for other in same}
        alike = repeats.key_of(run.config) == repeats.key_of(same[0].config)
        if run.config["seed"] not in known and alike:
            same.append(run)
    return found


def _decide(claim: Claim, runs: dict[str, list[PublishedRun]], drawn: Resamples) -> Verdict:
    used = [run for name in claim.deployments for run in runs.get(name, [])]
    absent = [name.upper() for name in claim.deployments if name not in runs]
    compared: list[Comparison] = []
    missing: list[Missing] = []
    if not absent:
        compared, missing = compare(claim, runs, drawn)
    outcome = outcome_of(compared, missing)
    origin = origin_of(used)
    words = WORDS[origin]
    word = {Outcome.holds: words[0], Outcome.fails: words[1], Outcome.open: UNDECIDED}[outcome]
    return Verdict(
        claim=claim,
        outcome=outcome,
        word=word,
        reason=f"no run of {', '.join(absent)}" if absent else reason_of(claim, compared, missing),
        would_decide=would_decide(claim, outcome, absent, compared, missing),
        effect=effect_of(claim, compared),
        comparisons=compared,
        runs=[run.id for run in used],
        mlflow_runs=[run.run_id for run in used],
        engine_kind=" and ".join(sorted({run.engine_kind for run in used})),
        clock=" and ".join(sorted({run.clock for run in used})),
        repeats=min((len(runs[name]) for name in claim.deployments if name in runs), default=0),
    )


def outcome_of(compared: Sequence[Comparison], missing: Sequence[Missing]) -> Outcome:
    """One comparison that fails is enough against a claim; for it, none may be open or missing."""
    outcomes = {comparison.outcome for comparison in compared}
    if Outcome.fails in outcomes:
        return Outcome.fails
    return Outcome.holds if outcomes == {Outcome.holds} and not missing else Outcome.open


def origin_of(runs: Sequence[PublishedRun]) -> str:
    """The weakest origin of these runs: predicted, simulated or measured."""
    if any(run.clock == "virtual" for run in runs):
        return "predicted"
    return "simulated" if any(run.engine_kind == "simulated" for run in runs) else "measured"


def effect_of(claim: Claim, compared: Sequence[Comparison]) -> Comparison | None:
    """The comparison least in favour of the claim."""

    def margin(comparison: Comparison) -> float:
        ratio = comparison.ratio / claim.factor
        if claim.is_ is Relation.below:
            return -ratio
        if claim.is_ is Relation.above:
            return ratio
        return -max(ratio, 1 / comparison.ratio / claim.factor)

    return min(compared, key=margin, default=None)


def reason_of(claim: Claim, compared: Sequence[Comparison], missing: Sequence[Missing]) -> str:
    """Which comparisons hold and which do not, in one line."""
    parts = []
    if compared:
        holding = [c for c in compared if c.outcome is Outcome.holds]
        concurrencies = sorted({c.concurrency for c in compared})
        span = (
            f"{concurrencies[0]:,} to {concurrencies[-1]:,}"
            if len(concurrencies) > 1
            else f"{concurrencies[0]:,}"
        )
        parts.append(
            f"{len(holding)} of {len(compared)} comparisons hold, at {span} of {_range(*claim.at)}"
        )
        for outcome, verb in ((Outcome.fails, "fails"), (Outcome.open, "is open")):
            concurrencies = sorted({c.concurrency for c in compared if c.outcome is outcome})
            if concurrencies:
                parts.append(f"it {verb} at {_list(concurrencies)}")
    parts += [
        f"{gap.deployment.upper()} at {count_users(gap.concurrency)}: {gap.reason}"
        for gap in missing[:3]
    ]
    if not (compared or missing):
        first, last = claim.at
        parts.append(f"no point from {first:,} to {last:,} users")
    return "; ".join(parts)


def would_decide(
    claim: Claim,
    outcome: Outcome,
    absent: Sequence[str],
    compared: Sequence[Comparison],
    missing: Sequence[Missing],
) -> str:
    """What to measure for a verdict; empty where there is one."""
    if outcome is not Outcome.open:
        return ""
    if absent:
        return f"runs of {', '.join(absent)}"
    if missing:
        concurrencies = sorted({gap.concurrency for gap in missing})
        return f"valid points at {_list(concurrencies)}"
    if not compared:
        return f"a ladder (load.concurrency) with points from {claim.at[0]:,} to {claim.at[1]:,}"
    concurrencies = sorted({c.concurrency for c in compared if c.outcome is Outcome.open})
    return f"more requests (load.requests_per_user) or more seeds at {_list(concurrencies)}"


def _range(first: int, last: int) -> str:
    return count_users(first) if first == last else f"{first:,} to {count_users(last)}"


def _list(concurrencies: Sequence[int]) -> str:
    if len(concurrencies) <= 4:
        *others, last = concurrencies
        return ", ".join([*(f"{n:,}" for n in others), count_users(last)])
    return f"{concurrencies[0]:,} to {concurrencies[-1]:,} users"
