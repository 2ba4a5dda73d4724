"""Reasons of verdicts, as sentences."""

from dataclasses import replace

import pytest

from er.claims import words
from er.claims.comparisons import Comparison, Outcome
from er.claims.statements import Claim, Relation

CLAIM = Claim(
    "x", "fig4", "E is as fast.", "paper", "", "ttft_s.p50", ("a",), Relation("below"),
    ("d",), 1, (1, 8),
)  # fmt: skip


def test_a_reason_counts_the_comparisons_of_each_outcome_and_names_them() -> None:
    similar = replace(CLAIM, is_=Relation("within"), factor=1.5, of=("e",), than=("a", "b"))
    outcomes = {
        ("a", 1): Outcome.open, ("a", 2): Outcome.fails, ("a", 8): Outcome.open,
        ("b", 1): Outcome.open, ("b", 2): Outcome.holds, ("b", 8): Outcome.fails,
    }  # fmt: skip

    def reason(outcomes: dict[tuple[str, int], Outcome]) -> str:
        compared = [
            Comparison(users, "e", than, 1.0, 0.9, 1.1, outcome, paired=True)
            for (than, users), outcome in outcomes.items()
        ]
        return words.reason_of(similar, [], [], compared, [])

    assert reason(outcomes) == (
        "of 6 comparisons at 1 to 8 users 1 holds, 2 fail (A at 2 users; B at 8 users), "
        "3 are open (A at 1, 8 users; B at 1 user)"
    )
    assert reason(dict.fromkeys(outcomes, Outcome.fails)) == (
        "of 6 comparisons at 1 to 8 users all fail"
    )
    assert reason({("a", 8): Outcome.holds}) == (
        "its comparison at 8 users (the claim's: 1 to 8 users) holds"
    )


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (0.000657, "1/1,520 of A's (1/1,690 to 1/1,270)"),
        (0.5, "0.5 times A's (0.45 to 0.6)"),
        (1234.5, "1,230 times A's (1,110 to 1,480)"),
    ],
)
def test_a_ratio_is_told_without_rows_of_zeros(ratio: float, told: str) -> None:
    compared = Comparison(1, "e", "a", ratio, 0.9 * ratio, 1.2 * ratio, Outcome.fails, paired=True)
    found = words.describe(replace(CLAIM, of=("e",), than=("a",)), compared)
    assert found == f"at 1 user E's median time to first token is {told}"
