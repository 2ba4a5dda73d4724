"""What tells the runs of a figure apart follows from the runs."""

from itertools import combinations

import pytest

from paper_figures.looks import looks_of


def test_rows_of_table_1_keep_their_look_whoever_is_beside_them(published):
    every = {run.deployment: run for run in map(published, [f"deployment={x}" for x in "abcde"])}
    alone = {name: looks_of([run])[0] for name, run in every.items()}
    together = dict(zip(every, looks_of(list(every.values())), strict=True))
    own = published("deployment=e", id="f")
    beside = looks_of([own, every["b"], every["e"]])
    assert alone == together
    assert beside[1:] == [together["b"], together["e"]]


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ([["deployment=e"], ["deployment=d"]], ["mine0", "mine1"]),
        ([["deployment=b"], ["deployment=b", "deployment.tp=8"]], ["B\ntp=4", "B\ntp=8"]),
        ([["deployment=a"], ["deployment=a", "seed=1"]], ["A\nseed=0", "A\nseed=1"]),
        (
            [["deployment=a"], ["deployment=a", "hardware=h200_sxm"]],
            ["A\nh100_sxm", "A\nh200_sxm"],
        ),
        ([["deployment=a"], ["deployment=a"]], ["A\n00000000", "A\n10000000"]),
        (
            [["deployment=e", f"routing.policy={policy}"] for policy in ("kmeans", "random")],
            ["E\npolicy=kmeans", "E\npolicy=random"],
        ),
    ],
    ids=["own deployments", "TP", "seed", "hardware", "the same again", "policy"],
)
def test_two_runs_are_told_apart_in_everything(published, overrides, names):
    own = names[0].startswith("mine")
    runs = [
        published(*each, id=name if own else "")
        for each, name in zip(overrides, names, strict=True)
    ]
    looks = looks_of(runs)
    assert [look.name for look in looks] == names
    for one, other in combinations(looks, 2):
        assert one.label != other.label
        assert one.colour != other.colour
        assert one.marker != other.marker
        assert one.dashes != other.dashes or not one.dashes


def test_a_line_is_dashed_exactly_if_prompts_are_routed(published):
    runs = [
        published("deployment=a"),
        published("deployment=e"),
        published("deployment=e", "deployment.experts=1", id="one_expert"),
        published("deployment=d", "deployment.experts=4", id="four_experts"),
    ]
    assert [bool(look.dashes) for look in looks_of(runs)] == [False, True, False, True]


def test_a_legend_tells_what_was_set(published):
    changed = published("deployment=b", "deployment.tp=8")
    [look] = looks_of([changed])
    assert "TP=8" in look.label
    assert "TP=4" not in look.label


def test_many_runs_are_all_told_apart(published):
    looks = looks_of([published("deployment=a", f"seed={seed}") for seed in range(12)])
    assert len({(look.colour, look.marker) for look in looks}) == 12
    assert len({look.label for look in looks}) == 12
