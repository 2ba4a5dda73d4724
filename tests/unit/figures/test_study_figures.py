"""Figures of the studies beside the ladder."""

from paper_figures import batch_limit, fig3, overhead, policies, style


def test_figure_3_picks_by_its_rule_and_says_how_that_stands_to_the_paper(published) -> None:
    made = [
        published(f"deployment.tp={tp}", f"deployment.precision={precision}")
        for tp in (4, 8)
        for precision in ("int8", "fp16")
    ]
    picks, differs = fig3.picked(made)
    assert picks.startswith("It picks int8 TP=4 at most 256 (0.12 s), fp16 TP=4")
    assert differs == "in place of C it takes int8 TP=8"  # all are alike: the first three
    as_in_paper = [made[0], made[1], made[3]]
    assert fig3.picked(as_in_paper)[1] == "these are the paper's A, B and C"
    with style.applied():
        drawn = fig3.figure(made)
        left, right = drawn.axes
        assert [axes.get_title() for axes in drawn.axes] == ["TP=4", "TP=8"]
        assert len(left.lines) == len(right.lines) == 2
        assert "It picks int8 TP=4" in " ".join(
            t.get_text().replace("\n", " ") for t in drawn.texts
        )


def test_gateways_are_told_apart_by_their_kind(published) -> None:
    behind = ("deployment=e1", "deployment.behind_gateway=true")
    runs = [
        published("deployment=e1"),
        *[published(*behind, f"gateway={kind}") for kind in ("fast", "sklearn")],
    ]
    with style.applied():
        drawn = overhead.figure(runs)
        labels = style.legend_of(drawn.axes)
        middle = drawn.axes[1]
    found = [label for label in labels if label.startswith("e1")]
    assert [label.rpartition("TP=1")[2] for label in found] == [
        "",
        " behind a gateway, gateway.kind=fast",
        " behind a gateway, gateway.kind=sklearn",
    ]
    assert [list(line.get_ydata()) for line in middle.lines] == [[0.0], [0.0]]  # the same requests


def test_the_busiest_expert_is_held_against_the_mean(published) -> None:
    runs = [published("deployment=e", f"routing.policy={name}") for name in ("kmeans", "random")]
    for run in runs:
        for point in run.points:
            point.experts.update({"0": 6, "1": 2})
    assert policies.busiest(runs[0], runs[0].points[0]) == 6 * 8 / 8
    with style.applied():
        drawn = policies.figure(runs)
        assert len(drawn.axes) == 3
        assert "Limits: TTFT 1 s" in drawn.texts[-1].get_text().replace("\n", " ")


def test_batch_limits_are_two_panels(published) -> None:
    with style.applied():
        drawn = batch_limit.figure([published(f"engine.max_batch_size={n}") for n in (256, 300)])
    assert [axes.get_ylabel() for axes in drawn.axes] == [
        "Time to first token [ms]",
        "Throughput [tokens/s]",
    ]
