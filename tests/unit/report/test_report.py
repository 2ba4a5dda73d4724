"""The report: one file, without a network, drawn in a real browser."""

import html
import html.parser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from er.claims import statements
from er.claims.verdicts import decide
from er.report import page
from er.report.charts import SHAPES, charts
from er.results.names import STEP_TIMES
from er.tracking.query import PublishedRun
from paper_figures.looks import MARKERS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def report(published: Callable[..., PublishedRun]) -> page.Report:
    runs = [published(f"deployment={name}") for name in "abcde"]
    claims = [claim for claim in statements.every() if claim.study == "ladder"]
    return page.Report("ladder", runs, decide(claims, runs), (["", "what"], [["A", "<b>"]]), None)


class Page(html.parser.HTMLParser):
    """Ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")


def test_links_resolve_inside_the_file_and_text_is_escaped(report: page.Report) -> None:
    text = page.render(report)
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        assert link.startswith("data:") or (link[0] == "#" and link[1:] in found.ids)
    assert "<td>&lt;b&gt;</td>" in text
    uri = report.runs[0].config["tracking"]["uri"]
    assert f"<code>python -m er.report ladder uri={uri}</code>" in text
    assert text.index("verdicts-title") < text.index("figures-title")
    assert all(verdict.claim.says.replace("'", "&#39;") in text for verdict in report.verdicts)
    assert "Simulated engines, measured at the client." in text


def test_a_chart_has_every_point_and_says_which_are_invalid(report: page.Report) -> None:
    for chart in charts(report.runs):
        assert len(chart.rows) == sum(len(run.points) for run in report.runs)
        assert {row["valid"] for row in chart.rows} == {"valid", "invalid"}
        assert json.dumps(chart.spec, allow_nan=False)


def test_runs_of_one_machine_and_code_share_their_provenance(report: page.Report) -> None:
    assert page.render(report).count("<summary>A, B, C, D, E, started 2026-01-01 00:00 to ") == 1
    other = report.runs[3].files / "provenance.json"
    other.write_text(other.read_text().replace("example", "elsewhere"))
    text = page.render(report)
    assert "<summary>A, B, C, E, started 2026-01-01 00:00 to 00:04 UTC</summary>" in text
    assert "<summary>D, started 2026-01-01 00:03 UTC</summary>" in text
    assert text.count("<code>elsewhere</code>") == 1


def test_every_marker_of_a_figure_has_a_shape_of_its_own() -> None:
    assert SHAPES.keys() == set(MARKERS)
    assert len(set(SHAPES.values())) == len(SHAPES)


def test_it_explains_the_marks_that_it_has(report: page.Report) -> None:
    assert "Hollow marks are invalid points" in page.render(report)
    assert "Thin lines without marks" not in page.render(report)
    valid = [replace(point, invalid=[]) for point in report.runs[0].points]
    runs = [replace(report.runs[0], points=valid, predicted=valid)]
    text = page.render(replace(report, runs=runs))
    assert "Hollow marks" not in text
    assert "Thin lines without marks are predicted" in text


def test_its_commands_can_be_typed_in_a_shell(report: page.Report) -> None:
    words = ["er/run.py", "+experiment=fig4", "load.concurrency=[1,4]"]
    for run in report.runs:
        path = run.files / "provenance.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"command": words}))
    [command] = re.findall(r"<code>(python -m er.run .*?)</code>", page.render(report))
    assert shlex.split(html.unescape(command))[3:] == words[1:]
    assert "'load.concurrency=[1,4]'" in html.unescape(command)


@pytest.mark.skipif(not BROWSER, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_draws_every_figure_and_has_nothing_to_complain_of(
    report: page.Report, tmp_path: Path, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.render(report))
    assert BROWSER
    done = subprocess.run(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--window-size={width},2000", "--virtual-time-budget=10000",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'browser'}", f"file://{file}",
        ],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert re.findall(r".*CONSOLE.*", done.stderr) == []
    count = len(charts(report.runs))
    assert f'data-drawn="{count}"' in done.stdout
    assert len(re.findall(r'<svg[^>]*class="marks"', done.stdout)) == count
    spoken = re.findall(r'aria-label="([^"]*)"[^>]*aria-roledescription="point"', done.stdout)
    spoken += re.findall(r'aria-roledescription="point"[^>]*aria-label="([^"]*)"', done.stdout)
    rows = [row["described"] for chart in charts(report.runs) for row in chart.rows]
    assert sorted(spoken) == sorted(rows)  # of no other marks, and no shifted concurrency
    assert "A: llama3_70b int8 TP=4, 1 user: 100 ms, valid" in spoken


def predicted(run: PublishedRun) -> PublishedRun:
    """The same run as if it had been predicted."""
    (run.files / STEP_TIMES).write_text('{"about": "matrix products 75% measured, <INT8>"}')
    interval = {"ttft_s.p50": [0.001, 0.9], "tokens_per_s": [100.0, 900.0]}
    points = [replace(point, predicted_interval=interval) for point in run.points]
    return replace(run, clock="virtual", points=points)


def test_a_prediction_says_between_what_it_may_lie_and_what_its_step_times_rest_on(
    published: Callable[..., PublishedRun], report: page.Report
) -> None:
    runs = [predicted(published("deployment=a")), predicted(published("deployment=d"))]
    fig4, _, fig6, per_gpu, _ = charts(runs)
    assert {row["may_be"] for row in fig4.rows} == {"1 to 900"}
    assert {row["may_be"] for row in fig6.rows} == {"100 to 900"}
    assert {row["may_be"] for row in per_gpu.rows} == {"25 to 225", "12.5 to 112.5"}
    assert [(row["low"], row["high"]) for row in fig6.bands] == [(100, 900)] * 2  # of valid points
    assert fig6.spec["layer"][0]["data"] == {"values": fig6.bands}

    text = page.render(page.Report("ladder", runs, decide([], runs), ([], []), None))
    assert "On a thin upright line a prediction may lie." in text
    assert text.count("<td>1 to 900</td>") == 4
    assert text.count('<td class="wordy">matrix products 75% measured, &lt;INT8&gt;</td>') == 2
    assert "Step times: matrix products 75% measured, &lt;INT8&gt; (A, D)." in text

    measured = page.render(report)
    for word in ("upright line", "Prediction may be", "Step times"):
        assert word not in measured
