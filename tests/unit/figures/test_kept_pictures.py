"""A picture is drawn again exactly when something that it shows has changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from er.report import study
from er.tracking import query
from er.tracking import study as tracking_study
from er.tracking.query import PublishedRun
from paper_figures import command, view


def test_a_picture_of_the_same_runs_stays(
    published: Callable[..., PublishedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [published("deployment=a", "study=ladder")]
    monkeypatch.setattr(query, "shown", lambda _uri, _study: runs)
    folder = tmp_path / "figures"

    def draw() -> view.Picture:
        return view.draw("fig4", "", "ladder", folder)

    first = draw()
    before = [file.read_bytes() for file in first.files]
    assert (first.kept, draw().kept) == (False, True)
    assert [file.name for file in draw().files] == ["fig4.png", "fig4.pdf", "fig4.svg"]

    first.files[0].write_bytes(b"damaged")
    assert not draw().kept
    assert [file.read_bytes() for file in first.files] == before
    runs[0] = replace(runs[0], started="2027-01-01T00:00:00")
    assert not draw().kept
    points = runs[0].files / "points.json"
    points.write_text(points.read_text().replace("24", "25"))
    assert not draw().kept
    assert draw().kept


def test_figure_3_says_in_the_terminal_what_its_rule_picks(
    published: Callable[..., PublishedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = [
        published(f"deployment.tp={tp}", f"deployment.precision={precision}")
        for tp in (4, 8)
        for precision in ("int8", "fp16")
    ]
    monkeypatch.setattr(query, "shown", lambda *_: made)
    monkeypatch.setattr(query, "comparable_with", lambda _uri, _shown: [])
    monkeypatch.setattr(tracking_study, "publish_study", lambda *_: None)
    drawn: list[str] = []
    kept: list[str] = []
    for lines in (drawn, kept):
        study.finish(study.Study("batch_sizes", "", tmp_path, ["fig3"], [1, 2]), lines.append)
    assert "there already" in kept[0]
    rule, picks, differs, chance = drawn[1:]
    assert rule.startswith("  Rule: of each precision and TP the batch limit with the least")
    assert picks.startswith("  It picks int8 TP=4 at most 256 (0.12 s), fp16 TP=4")
    assert differs == "  In place of C it takes int8 TP=8."
    assert chance.startswith("  Up to 2 users fill no batch of 256")
    assert kept[1:] == drawn[1:]
    command.answer("fig3", [f"out={tmp_path / 'figures'}"])
    assert picks.strip() in capsys.readouterr().out
