"""The picture of what a GPU carries."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from er.tracking.query import PublishedRun
from paper_figures import capacity, style


@pytest.mark.parametrize("width", list(style.Width))
def test_the_numbers_beside_bars_stay_inside_their_panels(
    published: Callable[..., PublishedRun], width: style.Width
) -> None:
    found = {
        "gpus": 8, "concurrency": 1120, "concurrency_low": 1120, "concurrency_high": 1128,
        "concurrency_per_gpu": 140.0, "tokens_per_s_per_gpu": 9562.0, "refusal": "",
    }  # fmt: skip
    runs = [replace(published(f"deployment={name}"), capacity=found) for name in "ae"]
    with style.applied(width):
        drawn = capacity.figure(runs)
        style.lay_out(drawn)
        for panel in drawn.axes:
            edge = panel.get_window_extent().x1
            assert [text.get_text() for text in panel.texts]
            assert all(text.get_window_extent().x1 < edge for text in panel.texts)
