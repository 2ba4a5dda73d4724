"""What is on the pictures: points, boxes, lengths, and where they come from."""

import json
import math
import re
from dataclasses import replace
from itertools import chain, combinations, product
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.transforms import Bbox

from er.errors import ConfigError
from er.study import settling
from paper_figures import (
    batch_limit,
    command,
    curves,
    fig2,
    fig4,
    fig5,
    fig6,
    fig7,
    load,
    overhead,
    policies,
    style,
    view,
)

DOCS = Path(__file__).parents[3] / "docs/figures.md"
HAIR = 5  # pixels of 220 to the inch: half a millimetre
NO_INTERVAL = {"p50_low": math.nan, "p50_high": math.nan}  # as predicted points have it
LADDER = [fig4, fig5, fig6, fig7]


@pytest.fixture(autouse=True)
def drawn_in_style():
    with style.applied():
        yield


@pytest.mark.parametrize("steps", [[1], [1, 4], [1, 1000]])
def test_marks_stay_near_their_concurrency_however_far_apart_the_steps_are(steps):
    assert curves.shifts(5, steps) == curves.shifts(5, [1, 2])
    assert max(curves.shifts(5, steps)) < 2**0.5


@pytest.mark.parametrize("module", LADDER)
def test_an_invalid_point_is_hollow_and_in_no_curve(published, module):
    figure = module.figure([published("deployment=a")])
    [curve] = [line for line in figure.axes[0].lines if line.get_label().startswith("A:")]
    assert list(curve.get_xdata()) == [1]
    points = [c for c in figure.axes[0].collections if len(c.get_offsets()) == 1]
    [hollow] = [c for c in points if c.get_offsets()[0][0] == 2]
    assert hollow.get_facecolors().tolist() == [[1, 1, 1, 1]]
    [legend] = figure.legends
    assert "hollow: invalid, in no curve" in [text.get_text() for text in legend.get_texts()]
    assert "simulated engines" in figure.get_suptitle()


def test_boxes_hold_the_requests_of_the_valid_points_and_say_so(published):
    runs = [published("deployment=a"), published("deployment=e")]
    for run in runs:
        rows = run.measured("ttft_s")
        assert len(rows) == sum(p.ttft_s.count for p in run.points if not p.invalid) == 24
    _, boxes = fig4.figure(runs).axes
    assert boxes.get_title().startswith("Requests at 1 user, pooled")
    assert boxes.get_xlabel() == "n=24 each"


def test_deployments_with_other_valid_points_say_what_they_pool(published):
    both = published("deployment=a")
    both = replace(both, points=[replace(point, invalid=[]) for point in both.points])
    _, boxes = fig4.figure([both, published("deployment=e")]).axes
    assert [tick.get_text() for tick in boxes.get_xticklabels()] == [
        "A\n1, 2\nn=27",
        "E\n1\nn=24",
    ]


def test_throughput_is_also_that_of_each_gpu(published):
    run = published("deployment=c")
    total, each = (axes.lines[0].get_ydata()[0] for axes in fig6.figure([run]).axes)
    assert total == run.points[0].tokens_per_s
    assert each == total / 8


def test_a_prediction_is_thin_and_an_interval_is_drawn_where_there_is_one(published):
    run = published("deployment=a")
    run = replace(run, predicted=[replace(point, invalid=[]) for point in run.points])
    left, _ = fig4.figure([run]).axes
    curve, thin = [line for line in left.lines if len(line.get_xdata())][:2]
    assert thin.get_linewidth() < curve.get_linewidth()
    assert list(thin.get_xdata()) == [1, 2]
    labels = [text.get_text() for text in left.figure.legends[0].get_texts()]
    assert curves.INTERVAL_LABEL in labels
    predicted = [
        replace(point, ttft_s=replace(point.ttft_s, **NO_INTERVAL)) for point in run.points
    ]
    alone = fig4.figure([replace(run, points=predicted, predicted=[])])
    texts = [text.get_text() for legend in alone.legends for text in legend.get_texts()]
    assert curves.INTERVAL_LABEL not in texts
    assert curves.THIN_LABEL in labels


@pytest.mark.parametrize(
    ("module", "quantity", "unit"), [(fig4, "ttft_s.p50", 1e-3), (fig6, "tokens_per_s", 1.0)]
)
def test_where_a_prediction_may_lie_is_an_upright_line(published, module, quantity, unit):
    run = published("deployment=a")
    first = replace(run.points[0], invalid=[], predicted_interval={quantity: [0.2, 0.3]})
    measured = module.figure([run]).axes[0]
    for drawn in (replace(run, points=[first]), replace(run, predicted=[first])):
        axes = module.figure([drawn]).axes[0]
        assert edges(axes) == pytest.approx([0.2 / unit, 0.3 / unit])
        labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
        assert curves.RANGE_LABEL in labels
    assert edges(measured) == []


def edges(axes: Axes) -> list[float]:
    """The ends of the upright lines that a prediction may lie on."""
    drawn = [c for c in axes.collections if isinstance(c, LineCollection)]
    drawn = [c for c in drawn if c.get_linewidth() == style.RANGE["linewidth"]]
    return [float(y) for c in drawn for segment in c.get_segments() for y in segment[:, 1]]


def test_marks_of_one_concurrency_stand_side_by_side_and_are_drawn_where_they_are(published):
    runs = [published(f"deployment={name}") for name in "abcde"]
    left, _ = fig4.figure(runs).axes
    at = [line.get_xdata()[0] for line in left.lines if str(line.get_label())[1:2] == ":"]
    assert at == sorted(at)
    assert len({*at}) == len(runs)
    assert at[2] == 1  # the third of five is not moved
    assert 2**-0.5 < at[0] < at[-1] < 2**0.5  # nearer to their own than to the next one
    bars = [c for c in left.collections if isinstance(c, LineCollection)]
    shown = {segment[0, 0] for bar in bars for segment in bar.get_segments()}
    assert {*at} <= shown
    assert curves.BESIDE_LABEL in style.legend_of([left])


def test_a_long_prediction_says_how_many_requests_are_kept_of_how_many(published):
    runs = [published("deployment=a"), published("deployment=d")]
    first = runs[1].points[0]
    longer = replace(
        first,
        requests=4 * first.requests,
        notes=settling.notes_of(4, 4 * first.requests, first.requests),
        ttft_s=replace(first.ttft_s, count=4 * first.ttft_s.count),
    )
    runs[1] = replace(runs[1], points=[longer, *runs[1].points[1:]])
    _, boxes = fig4.figure(runs).axes
    assert [tick.get_text() for tick in boxes.get_xticklabels()] == ["A\nn=24", "D\nn=24\nof 96"]
    assert boxes.get_xlabel() == "n of N: the last of all requests are kept"
    drawn = fig2.figure(runs)
    assert drawn.axes[1].get_title().startswith(f"54 of {54 + 72} answers\nof 2 runs: ")
    footer = drawn.texts[-1].get_text().replace("\n", " ")
    assert "the last requests are kept and shown: D at 1 user 24 of 96." in footer


def test_every_figure_that_a_study_may_name_is_documented():
    documented = set(re.findall(r"^\| `(\w+)`", DOCS.read_text(), re.MULTILINE))
    assert documented == set(view.names())


@pytest.mark.parametrize("module", [fig2, *LADDER])
def test_answers_that_the_model_ended_are_named(published, module):
    free = published("deployment=a", "workload.stop_at_eos=true")
    says = "answers end where the model ends them"
    figure = module.figure([free])
    assert says in figure.get_suptitle()
    assert says in free.title
    assert says in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    forced = published("deployment=a")
    assert says not in forced.title + module.figure([forced]).get_suptitle()


@pytest.mark.parametrize("module", [fig6, fig7])
def test_what_is_inferred_is_named(published, module):
    figure = module.figure([published("deployment=a")])
    assert "[inferred]" in figure.get_suptitle()
    assert any("captions" in text.get_text() for text in figure.texts)


def test_prompts_of_several_deployments_are_counted_once(published):
    runs = [published("deployment=a"), published("deployment=e")]
    prompts, answers, *_ = fig2.figure(runs).axes
    assert prompts.get_title().startswith("27 prompts\n")
    assert answers.get_title().startswith("54 answers\nof 2 runs: mean")
    for axes, tokens in ((prompts, 100), (answers, 3)):
        [bar] = [bar for bar in axes.patches if getattr(bar, "get_height", lambda: 0)() > 0]
        assert bar.get_height() == pytest.approx(100)
        assert bar.get_x() < tokens < bar.get_x() + bar.get_width()


def test_prompts_of_another_seed_are_other_prompts(published):
    runs = [published("deployment=a"), published("deployment=a", "seed=1")]
    assert len(fig2.sent(runs)) == 54


def test_the_picture_of_the_load_generator_marks_an_invalid_point(published):
    ttft, _, _, throughput, in_flight = load.figure([published("deployment=a")]).axes
    for axes in (ttft, throughput):
        assert list(axes.lines[0].get_xdata()) == [1]
        hollow = axes.collections[-1]
        assert hollow.get_offsets()[:, 0].tolist() == [2]
    labels = [patch.get_label() for patch in in_flight.patches]
    assert labels == ["1 user", "2 users, invalid"]
    first, _ = (line for line in in_flight.lines if line.get_marker() == "|")
    point = published("deployment=a").points[0]
    share = 100 / (point.in_flight_bin_s * len(point.in_flight))
    from_s, until_s = point.window_from_s, point.window_from_s + point.duration_s
    assert list(first.get_xdata()) == pytest.approx([from_s * share, until_s * share])


def test_the_footer_says_where_values_come_from(published):
    runs = [published("deployment=a", "study=mine"), published("deployment=e", "study=mine")]
    text = style.footer(runs)
    assert text.startswith("Study mine: simulated engines, measured at the client.")
    assert "A 00000000, E 10000000" in text
    assert "2026-01-01 00:00" in text
    assert "Step times" not in text


def test_the_footer_marks_how_much_of_the_step_times_was_measured(published):
    runs = [published(f"deployment={name}") for name in "abe"]
    origins = ("matrix products 7%; INT8", "matrix products 7%", "matrix products 9%")
    for run, origin in zip(runs, origins, strict=True):
        (run.files / "step_times.json").write_text(json.dumps({"about": origin}))
    said = "Step times: matrix products 7% (A, B); matrix products 9% (E); INT8 (A). Runs: "
    assert said in style.footer(runs)


@pytest.mark.parametrize("width", style.Width)
@pytest.mark.parametrize("module", [batch_limit, fig2, fig4, fig6, load, overhead, policies])
def test_nothing_covers_a_panel_or_is_cut_off(published, module, width):
    runs = [published(f"deployment={name}") for name in ("de" if module is policies else "abcde")]
    with style.applied(width):
        figure = module.figure(runs)
        style.lay_out(figure)
        [legend] = figure.legends
        page = figure.bbox
        parts = [
            [legend.get_window_extent()],
            *[[text.get_window_extent()] for text in figure.texts],
        ]
        parts += map(boxes_of, figure.axes)
        parts = [[box.padded(-HAIR) for box in of_one if box] for of_one in parts]
        for box in chain(*parts):
            assert page.x0 <= box.x0 < box.x1 <= page.x1
            assert page.y0 <= box.y0 < box.y1 <= page.y1
        for part, another in combinations(parts, 2):
            for one, other in product(part, another):
                assert not one.overlaps(other), (one, other)
        assert figure.get_figwidth() == pytest.approx(width.value / 2.54)


def boxes_of(panel: Axes) -> list[Bbox]:
    """Where a panel, the numbers and names of its axes, and its title are."""
    axes = panel.xaxis, panel.yaxis
    texts = [*(axis.label for axis in axes), panel.title]
    named = [text.get_window_extent() for text in texts if text.get_text()]
    for axis in axes:
        axis.label.set_visible(False)
    return [panel.bbox, *named, *(axis.get_tightbbox() for axis in axes)]


def test_the_same_runs_make_the_same_bytes(published, tmp_path):
    runs = [published("deployment=a"), published("deployment=e")]
    once, again = (
        [path.read_bytes() for path in style.save(fig4.figure(runs), tmp_path / name, "fig4")]
        for name in ("once", "again")
    )
    assert len(once) == 3
    assert once == again


@pytest.mark.parametrize(
    ("study", "clock", "name"),
    [
        ("ladder", "real", "fig4"),
        ("ladder", "virtual", "fig4-predicted"),
        ("mine", "real", "fig4-mine"),
        ("mine", "virtual", "fig4-mine-predicted"),
    ],
)
def test_a_file_is_named_after_what_it_shows(published, study, clock, name):
    run = published("deployment=a", f"study={study}", clock=clock)
    assert view.file_name("fig4", [run]) == name


def test_the_modules_that_are_figures_are_known_by_name():
    assert {"capacity", "fig2", "fig4", "fig5", "fig6", "fig7", "load"} <= set(view.names())
    assert not {"command", "ladder", "looks", "style", "view"} & set(view.names())
    assert [view.study_of(name) for name in ("capacity", "fig4")] == ["capacity", "ladder"]


@pytest.mark.parametrize(
    "arguments", [["x=1"], ["study="], ["fig4"], ["width=3"], ["study=a", "runs=b"]]
)
def test_a_wrong_argument_is_refused(arguments):
    with pytest.raises(ConfigError):
        command.parse_arguments(arguments)


def test_the_figure_that_the_documentation_adds_is_drawn(published):
    text = DOCS.read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = {"__name__": "fig9"}
    exec(code, module)
    [panel] = module["figure"]([published("deployment=a")]).axes
    assert panel.get_ylabel() == "Time to first token, p95 [ms]"
    assert list(panel.lines[0].get_xdata()) == [1]


@pytest.mark.parametrize("high", [1.06, 1.5, 4, 20, 900, 1e5])
def test_a_logarithmic_axis_always_has_ticks_to_read_it_by(high):
    figure, [axes] = style.panels(1)
    axes.plot([1, 2], [7, 7 * high])
    style.log_values(axes.yaxis)
    figure.draw_without_rendering()
    low, top = axes.get_ylim()
    labels = [
        tick.label1.get_text()
        for tick in axes.yaxis.get_major_ticks()
        if low <= tick.get_loc() <= top
    ]
    assert 2 <= len(set(labels)) == len(labels) <= 10
