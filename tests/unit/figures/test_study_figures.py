"""Figures of the studies beside the ladder."""

from dataclasses import replace
from itertools import product

import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from er.report.charts import charts
from paper_figures import batch_limit, fig3, fig4, ladder, overhead, policies, style
from paper_figures.repeats import groups_of


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


@pytest.mark.parametrize("module", [fig3, fig4, overhead])
def test_a_title_is_not_wider_than_a_column(published, module) -> None:
    with style.applied(style.Width.column):
        drawn = module.figure([published("deployment=d")])
        drawn.canvas.draw()
        [title] = [text for text in drawn.findobj(Text) if text.get_text() == drawn.get_suptitle()]
        box = title.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= drawn.bbox.width
    assert drawn.get_suptitle().endswith("measured at the client")


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
    faster = replace(runs[2].points[0], tokens_per_s=runs[0].points[0].tokens_per_s * 2)
    assert overhead.summary([*runs[:2], replace(runs[2], points=[faster])]) == [
        "gateway fast, against none: +0.0 ms and 1.000 of the throughput at 1 user",
        "gateway sklearn, against none: +0.0 ms and 2.000 of the throughput at 1 user",
    ]


@pytest.fixture
def repeats(published):
    """Two deployments with three seeds each, whose points differ."""
    found = []
    for name, seed in product("ad", range(3)):
        run = published(f"deployment={name}", f"seed={seed}")
        valid, invalid = run.points
        slower = replace(valid.ttft_s, p50=valid.ttft_s.p50 * (1 + seed))
        found.append(replace(run, points=[replace(valid, ttft_s=slower), invalid]))
    return found


def test_repeats_are_one_curve_with_whiskers_from_the_least_to_the_greatest(repeats) -> None:
    with style.applied():
        left, right = fig4.figure(repeats).axes
        labels = list(style.legend_of([left]))
        curves = [line for line in left.lines if "mean of 3 seeds" in str(line.get_label())]
        text = left.figure.texts[-1].get_text().replace("\n", " ")
        whiskers = [c for c in left.collections if isinstance(c, LineCollection)]
    p50_ms = [run.points[0].ttft_s.p50 * 1e3 for run in repeats]
    assert [list(curve.get_ydata()) for curve in curves] == [[pytest.approx(2 * p50_ms[0])]] * 2
    for whisker in whiskers:
        [[low, high]] = [segment[:, 1] for segment in whisker.get_segments()]
        assert (low, high) == pytest.approx((p50_ms[0], p50_ms[2]))
    assert len(whiskers) == 2
    assert ladder.BETWEEN_LABEL in labels
    assert f"{ladder.INTERVAL_LABEL}{ladder.OF_REPEATS}" in labels
    assert "Repeats with seeds 0, 1, 2" in text
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["A", "D"]
    assert "n=72 each" in right.get_xlabel()


def test_a_report_has_repeats_as_one_row_with_their_spread(repeats) -> None:
    [ttft] = [chart for chart in charts(repeats) if chart.id == "fig4"]
    valid = [row for row in ttft.rows if row["valid"] == "valid"]
    assert [row["requests"] for row in valid] == [72, 72]
    assert valid[0]["greatest"] == pytest.approx(3 * valid[0]["least"])
    assert "3 seeds" in valid[0]["seeds"]
    assert len(ttft.rows) == 2 + 6  # every invalid point by itself


def test_the_same_seed_again_and_another_setting_are_no_repeats(published) -> None:
    again = [published("deployment=a"), published("deployment=a")]
    other = published("deployment=a", "seed=1", "engine.max_batch_size=8")
    assert [len(group.runs) for group in groups_of([*again, other])] == [1, 1, 1]


def test_repeats_are_pooled_in_the_other_figures_too(published) -> None:
    gateways = [
        published("deployment=e1", *behind, f"seed={seed}")
        for behind in ([], ["deployment.behind_gateway=true"])
        for seed in range(2)
    ]
    ladders = [published(f"deployment.tp={tp}", f"seed={seed}") for tp in (4, 8) for seed in (0, 1)]
    with style.applied():
        left, middle, _ = overhead.figure(gateways).axes
        assert sum(label.endswith("2 seeds") for label in style.legend_of([left])) == 2
        assert len(middle.lines) == 1
        assert [len(axes.lines) for axes in fig3.figure(ladders).axes] == [1, 1]


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


def test_batch_limits_are_three_panels(published) -> None:
    with style.applied():
        drawn = batch_limit.figure([published(f"engine.max_batch_size={n}") for n in (256, 300)])
    assert [axes.get_ylabel() for axes in drawn.axes] == [
        "Time to first token [ms]",
        "Throughput [tokens/s]",
        "[tokens/s per GPU]",
    ]
