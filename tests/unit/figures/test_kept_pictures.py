"""A picture is drawn again exactly when something that it shows has changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from er.tracking import query
from er.tracking.query import PublishedRun
from paper_figures import view


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
