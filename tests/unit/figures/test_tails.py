"""What a median hides is where the reader looks: in Figures 4 and 7, in the report, in verdicts."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
from matplotlib.colors import to_rgba

from er.claims import statements
from er.claims.verdicts import decide
from er.report import page
from er.report.charts import charts
from er.results import tails
from er.results.point import summarise
from er.study import settling
from er.tracking.query import PublishedRun
from paper_figures import curves, fig4, fig5, fig7, style

Make = Callable[..., PublishedRun]
WAITING = summarise([0.1] * 19 + [400.0] * 5)  # most start at once
SENTENCE = (
    "The median hides that 5 to 25% of D's requests at 1 user take over 3 times as long: mean 83.4 "
    "s, p95 400 s; D at 1 user was played until steady, 96 requests a user in place of 24."
)


@pytest.fixture
def runs(published: Make) -> list[PublishedRun]:
    """A and D, of which some requests wait and which was played longer."""
    first, second = published("deployment=a"), published("deployment=d")
    point = second.points[0]
    waiting = replace(
        point, requests=96, ttft_s=WAITING, e2e_s=WAITING, notes=settling.notes_of(4, 96, 24)
    )
    return [first, replace(second, points=[waiting, second.points[1]])]


@pytest.mark.parametrize("width", style.Width)
@pytest.mark.parametrize(("module", "unit_s"), [(fig4, 1e-3), (fig7, 1)])
def test_the_95th_percentile_is_faint_and_of_the_same_colour(
    runs: list[PublishedRun], module: ModuleType, unit_s: float, width: style.Width
) -> None:
    with style.applied(width):
        drawn = module.figure(runs)
        style.lay_out(drawn)
        left = drawn.axes[0]
        [legend] = drawn.legends
        labels = [text.get_text() for text in legend.get_texts()]
        note = drawn.texts[-1].get_text().replace("\n", " ")
        medians = [line for line in left.lines if str(line.get_label())[1:2] == ":"]
        faint = [line for line in left.lines if line.get_alpha() == style.TAIL["alpha"]]
        faint = [line for line in faint if len(line.get_xdata())]
    assert [to_rgba(line.get_color()) for line in faint] == [
        to_rgba(line.get_color()) for line in medians
    ]
    assert [list(line.get_xdata()) for line in faint] == [
        list(line.get_xdata()) for line in medians
    ]
    assert faint[1].get_ydata()[0] == pytest.approx(400 / unit_s)
    assert curves.TAIL_LABEL in labels
    assert SENTENCE in note


def test_a_figure_whose_medians_hide_nothing_does_not_speak_of_it(
    published: Make, runs: list[PublishedRun]
) -> None:
    with style.applied():
        plain = fig4.figure([published("deployment=a")]).texts[-1].get_text()
        tpot = fig5.figure(runs)
        assert curves.TAIL_LABEL not in style.legend_of(tpot.axes)
    assert "median hides" not in plain.replace("\n", " ")
    assert "median hides" not in tpot.texts[-1].get_text().replace("\n", " ")


def test_verdicts_and_the_report_have_the_same_sentence(
    runs: list[PublishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PublishedRun, "doubts", {})  # its files are not those of the point
    [claim] = [claim for claim in statements.every() if claim.id == "d-minimum-raised"]
    quantities = ("ttft_s.p50", "ttft_s.min")
    median, least = decide([replace(claim, quantity=q, than=("a",)) for q in quantities], runs)
    assert SENTENCE in median.explanation
    assert median.caution in str(median.as_json()["caution"])
    assert least.caution == ""
    shown = {chart.id: chart for chart in charts(runs)}
    assert shown["fig4"].hidden == shown["fig7"].hidden == SENTENCE
    assert shown["fig6"].hidden == ""
    [row] = [r for r in shown["fig4"].rows if r["requests"] == 96]
    assert (row["mean"], row["p95"]) == pytest.approx((2001.9 / 24 * 1e3, 400_000))
    text = page.render(page.Report("s", runs, [median], ([], []), None))
    assert text.partition("<script")[0].replace("&#39;", "'").count(SENTENCE) == 3


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([1.0] * 90 + [300.0] * 10, "5 to 25%"),
        ([1.0] * 97 + [900.0] * 3, "1 to 5%"),
        ([1.0] * 52 + [30.0] * 48, "25 to 50%"),
        ([1.0] * 999 + [9000.0], "up to 1%"),
    ],
)
def test_how_many_wait_is_between_two_quantiles(values: list[float], share: str) -> None:
    summary = summarise(values)
    assert tails.has_tail(summary)
    assert tails.share_of_tail(summary) == share


def test_without_values_or_a_tail_there_is_none() -> None:
    assert not tails.has_tail(summarise([]))
    assert not tails.has_tail(summarise([1.0, 2.0, 3.0]))
