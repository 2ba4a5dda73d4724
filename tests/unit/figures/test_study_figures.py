"""Figures of the studies beside the ladder."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from er.report.charts import charts
from paper_figures import batch_limit, curves, fig2, fig3, fig4, overhead, policies, style
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
        assert [len(style.legend_of([axes])) for axes in (left, right)] == [5, 5]
        assert "It picks int8 TP=4" in " ".join(
            t.get_text().replace("\n", " ") for t in drawn.texts
        )


@pytest.mark.parametrize("module", [fig3, batch_limit])
def test_limits_that_no_point_reaches_are_said_to_differ_by_chance(published, module) -> None:
    runs = [published("deployment=a", f"engine.max_batch_size={limit}") for limit in (4, 64)]
    more = [replace(run, points=[replace(p, concurrency=8) for p in run.points]) for run in runs]
    said = "Up to 2 users fill no batch of 4: here limits differ by chance alone."
    for of, chance in ((runs, True), (more, False)):
        with style.applied():
            [*_, footer] = module.figure(of).texts
        assert (said in footer.get_text().replace("\n", " ")) == chance
        assert (said in fig3.summary(of)) == chance


@pytest.mark.parametrize("width", list(style.Width))
def test_a_legend_is_not_wider_than_the_figure(published, width) -> None:
    words = ("deployment=e1", "deployment.behind_gateway=true", "gateway=sklearn")
    runs = [published(*words, f"seed={seed}") for seed in range(2)]
    runs.append(published(*words, "gateway=fast"))
    with style.applied(width):
        drawn = overhead.figure(runs)
        drawn.canvas.draw()
        [legend] = drawn.legends
        box = legend.get_window_extent()
        footer = drawn.texts[-1].get_window_extent()
    assert max(len(text.get_text()) for text in legend.get_texts()) > style.COLUMN_LETTERS
    assert 0 <= box.x0 < box.x1 <= drawn.bbox.width
    assert box.y0 >= footer.y1 - 1


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
    assert overhead.INTERVAL_LABEL in labels  # that of the difference is no interval of a median
    found = [label for label in labels if label.startswith("E1")]
    assert [label.rpartition("TP=1")[2] for label in found] == [
        "",
        " behind a gateway, gateway.kind=fast",
        " behind a gateway, gateway.kind=sklearn",
    ]
    marked = [list(line.get_ydata()) for line in middle.lines if line.get_marker() != "None"]
    assert marked == [[0.0], [0.0]]  # the same requests
    faster = replace(runs[2].points[0], tokens_per_s=runs[0].points[0].tokens_per_s * 2)
    assert overhead.summary([*runs[:2], replace(runs[2], points=[faster])]) == [
        "gateway fast, against none: nothing that could be told from zero (+0.0 ms: 95% interval "
        "+0.0 to +0.0 ms) and 1.000 of the throughput at 1 user",
        "gateway sklearn, against none: nothing that could be told from zero (+0.0 ms: 95% "
        "interval +0.0 to +0.0 ms) and 2.000 of the throughput at 1 user",
    ]


def test_a_gateways_cost_is_told_from_zero_only_by_seeds_or_parts_of_a_run_and_above_a_step() -> (
    None
):
    drifting = np.repeat([-5.0, 3, -4, 6, -3, 5, -6, 4, -2, 1], 500) / 1e3  # late or early together
    found = overhead.added_of([drifting], step=0.02)
    assert found.low < 0 < found.high
    assert found.high - found.low > 2e-3  # five thousand prompts alone would give a tenth of it
    shifted = overhead.added_of([drifting / 100 - 1.4e-3], step=0.0219)
    assert shifted.high < 0
    assert overhead.describe(shifted) == (
        "-1.4 ms (less than a step of the engine, 21.9 ms; one seed cannot tell, repeats=5 would)"
    )
    alike = [np.full(100, value) for value in (-1.5e-3, -1.4e-3, -1.3e-3)]
    assert overhead.describe(overhead.added_of(alike, step=0.0219)) == "-1.4 ms"
    idle = overhead.added_of([np.full(200, 0.24e-3)], step=0.0)
    assert overhead.describe(idle) == "+0.2 ms"
    seeds = [np.full(100, value) for value in (-1.4e-3, -0.9e-3, 3.2e-3)]
    assert overhead.added_of(seeds, step=0.0).low < 0 < overhead.added_of(seeds, step=0.0).high


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
        means = [line for line in left.lines if "mean of 3 seeds" in str(line.get_label())]
        text = left.figure.texts[-1].get_text().replace("\n", " ")
        whiskers = [c for c in left.collections if isinstance(c, LineCollection)]
        whiskers = [c for c in whiskers if c.get_linewidth() == style.WHISKER["linewidth"]]
    p50_ms = [run.points[0].ttft_s.p50 * 1e3 for run in repeats]
    assert [list(curve.get_ydata()) for curve in means] == [[pytest.approx(2 * p50_ms[0])]] * 2
    for whisker in whiskers:
        [[low, high]] = [segment[:, 1] for segment in whisker.get_segments()]
        assert (low, high) == pytest.approx((p50_ms[0], p50_ms[2]))
    assert len(whiskers) == 2
    assert curves.BETWEEN_LABEL in labels
    assert curves.OF_REPEATS_LABEL in labels
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
        assert sum(line.get_marker() != "None" for line in middle.lines) == 1
        marked = [
            [line for line in axes.lines if len(line.get_xdata())]
            for axes in fig3.figure(ladders).axes
        ]
        assert [len(lines) for lines in marked] == [1, 1]


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


def test_batch_limits_are_held_against_each_other_for_each_deployment(published) -> None:
    runs = [published(f"deployment={name}", f"engine.max_batch_size={n}")
            for name in "ad" for n in (256, 300)]  # fmt: skip
    for width in style.Width:
        with style.applied(width):
            drawn = batch_limit.figure(runs)
            labels = style.legend_of(drawn.axes)
        above, beside = ["A", "D"], list(batch_limit.QUANTITIES)
        if width is style.Width.column:
            above, beside = beside, above
        assert list(filter(None, (axes.get_title() for axes in drawn.axes))) == above
        assert list(filter(None, (axes.get_ylabel() for axes in drawn.axes))) == beside
        assert {"at most 256 in a batch", "at most 300 in a batch"} <= {*labels}


def test_variants_of_rows_of_table_1_have_capitals_everywhere_and_their_study_is_named(
    published,
) -> None:
    runs = [published(f"deployment={name}", "study=replicas") for name in ("a2", "b2", "e1")]
    for run in runs:
        (run.files / "step_times.json").write_text('{"about": "matrix products 7%"}')
    with style.applied():
        drawn = fig4.figure(runs)
        labels = [label[:3] for label in style.legend_of(drawn.axes)][:3]
        footer = drawn.texts[-1].get_text().replace("\n", " ")
        assert [tick.get_text() for tick in drawn.axes[1].get_xticklabels()] == ["A2", "B2", "E1"]
    assert labels == ["A2:", "B2:", "E1:"]
    assert "matrix products 7% (A2, B2, E1)" in footer
    assert "Runs: A2 " in footer
    assert drawn.get_suptitle().startswith("Figure 4 of study replicas: time to first token\n")


def test_step_times_of_one_name_are_told_apart_by_precision_and_tp(published) -> None:
    shapes = [(precision, tp) for precision in ("int8", "fp16") for tp in (4, 8)]
    runs = [published(f"deployment.precision={p}", f"deployment.tp={tp}") for p, tp in shapes]
    assert [name[2:] for name in style.engine_names(runs)] == [f"{p} TP={tp}" for p, tp in shapes]
    assert style.engine_names([published("deployment=a"), published("deployment=a", "seed=1")]) == [
        "A",
        "A",
    ]


def test_four_panels_and_more_stand_in_rows(published) -> None:
    four = ("deployment=e", "deployment.experts=4", "deployment.tp=2")
    runs = [published("deployment=e"), published(*four, id="my_other_deployment_with_a_long_name")]
    for run, experts in zip(runs, (8, 4), strict=True):
        files = sorted((run.files / "requests").glob("*.parquet"))
        for file in files:
            rows = pd.read_parquet(file)
            rows.assign(expert=np.arange(len(rows)) % experts).to_parquet(file)
    with style.applied():
        drawn = fig2.figure(runs)
        style.lay_out(drawn)
        boxes = [axes.title.get_window_extent() for axes in drawn.axes]
        page = drawn.bbox.frozen()  # closed, a figure has another resolution
        labels = style.legend_of(drawn.axes)
        assert any("answers as long as asked for" in label for label in labels)
        assert {axes.get_subplotspec().rowspan.start for axes in drawn.axes} == {0, 1}
    assert len(boxes) == 4
    assert all(page.x0 <= box.x0 < box.x1 <= page.x1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
