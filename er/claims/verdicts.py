"""The verdict on a claim, from valid points."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from er.claims import tails, words
from er.claims.comparisons import Comparison, Missing, Outcome, compare
from er.claims.resamples import Resamples
from er.claims.statements import Claim, Relation
from er.results import repeats
from er.results.keys import VALUES
from er.tracking.query import PublishedRun

WORDS = {
    "measured": ("reproduced", "not reproduced"),
    "simulated": ("reproduced in simulation", "not reproduced in simulation"),
    "predicted": ("predicted", "predicted not to hold"),
}
SHARED = ("workload", "corpus", "load", "hardware")
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
    caution: str  # what the compared medians hide; empty where they hide nothing
    effect: Comparison | None  # the comparison that is nearest to not being as claimed, or farthest
    comparisons: list[Comparison]
    runs: list[str]  # ids of the runs themselves
    mlflow_runs: list[str]  # of the same, in the store that they were read from
    engine_kind: str
    clock: str
    repeats: int
    step_times: dict[str, str]  # by deployment: how much of those behind predictions was measured

    @property
    def effect_described(self) -> str:
        """The least favourable comparison in words; empty where there is none."""
        return words.describe(self.claim, self.effect) if self.effect else ""

    @property
    def explanation(self) -> str:
        """Why: which comparisons hold, the least favourable one, what their medians hide, and what
        would decide it."""
        least = f"least favourable: {self.effect_described}" if self.effect else ""
        decide = f"would be decided by {self.would_decide}" if self.would_decide else ""
        parts = filter(None, (self.reason, least, self.caution, decide))
        return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)

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
    absent, unlike = words.absent_of(claim, runs), unlike_of(used)
    compared: list[Comparison] = []
    missing: list[Missing] = []
    if not absent and not unlike:
        compared, missing = compare(claim, runs, drawn)
    outcome = outcome_of(compared, missing)
    origin = origin_of(used)
    holds, fails = WORDS[origin]
    word = {Outcome.holds: holds, Outcome.fails: fails, Outcome.open: UNDECIDED}[outcome]
    return Verdict(
        claim=claim,
        outcome=outcome,
        word=word,
        reason=words.reason_of(claim, absent, unlike, compared, missing),
        would_decide=words.would_decide(claim, outcome, runs, unlike, compared, missing),
        caution=tails.caution_of(claim, runs, compared),
        effect=effect_of(claim, compared),
        comparisons=compared,
        runs=[run.id for run in used],
        mlflow_runs=[run.run_id for run in used],
        engine_kind=" and ".join(sorted({run.engine_kind for run in used})),
        clock=" and ".join(sorted({run.clock for run in used})),
        repeats=min((len(runs[name]) for name in claim.deployments if name in runs), default=0),
        step_times={
            run.deployment.upper(): run.step_times
            for run in used
            if origin == "predicted" and run.step_times
        },
    )


def unlike_of(runs: Sequence[PublishedRun]) -> list[str]:
    """The sections of their configurations that runs must share to be held against each other,
    and do not."""
    return [section for section in SHARED if len({_decisive(run, section) for run in runs}) > 1]


def _decisive(run: PublishedRun, section: str) -> str:
    left_out = VALUES.get(section, set())
    values = {k: v for k, v in run.config.get(section, {}).items() if k not in left_out}
    return json.dumps(values, sort_keys=True)


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
