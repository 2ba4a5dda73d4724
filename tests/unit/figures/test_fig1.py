"""Figure 1 says what the configurations of its runs say."""

import json
from collections.abc import Callable

import pytest

from er.results import names
from er.tracking.query import PublishedRun
from paper_figures import fig1, style

MAP = {"method": "t-SNE", "samples": 9, "x": [0, 1, 2], "y": [2, 0, 1], "expert": [0, 1, 1]}


def texts_of(runs: list[PublishedRun]) -> tuple[str, int]:
    with style.applied():
        drawn = fig1.figure(runs)
        drawn.draw_without_rendering()
        found = [text.get_text() for axes in drawn.axes for text in axes.texts]
        dots = sum(
            len(part.get_offsets())
            for axes in drawn.axes
            for inset in axes.child_axes
            for part in inset.collections
        )
        return "\n".join([*found, *[text.get_text() for text in drawn.texts]]), dots


def test_gateway_engines_ports_and_precisions_are_those_of_the_configuration(
    published: Callable[..., PublishedRun],
) -> None:
    runs = [
        published("deployment=c", "server.http_port=8000"),
        published("deployment=d", "gateway.port=8123", "gateway=sklearn"),
    ]
    (runs[1].files / names.ROUTER_MAP).write_text(json.dumps(MAP))
    text, dots = texts_of(runs)
    for part in (
        "Routing gateway (sklearn)", "port 8123", "Classifier: kmeans, k = 8", "expert 7\nGPU 7",
        "D: 8 x Llama 3 70B INT8, TP=1", "C: Llama 3 70B FP16, TP=8 on GPUs 0 to 7",
        "HTTP, port 8000", "simulated engines", "no gateway", "1 to 8 users",
    ):  # fmt: skip
        assert part in text, part
    assert [line for line in text.split("\n") if line in list("123456")] == list("123456")
    assert dots == 3
    assert "Dots: 3 of 9 samples" in text.replace("\n", " ")


def test_without_a_gateway_there_is_none(published: Callable[..., PublishedRun]) -> None:
    text, _ = texts_of([published("deployment=a")])
    assert "Routing gateway" not in text
    assert "A: Llama 3 70B INT8, TP=4 on GPUs 0 to 3" in text


@pytest.mark.parametrize("alike", [True, False])
def test_each_layout_has_a_panel_of_its_own(
    published: Callable[..., PublishedRun], alike: bool
) -> None:
    four = ("deployment.experts=4", "deployment.tp=2", "deployment.precision=fp16")
    runs = [
        published("deployment=c"),
        published("deployment=d"),
        published("deployment=e"),
        published("deployment=e", *four, id="f"),
    ]
    for run, samples in zip(runs[1:], (9, 9, 9 if alike else 12), strict=True):
        (run.files / names.ROUTER_MAP).write_text(json.dumps({**MAP, "samples": samples}))
    for width in style.Width:
        with style.applied(width):
            drawn = fig1.figure(runs)
            style.lay_out(drawn)
            eight, four_, none = ([text.get_text() for text in axes.texts] for axes in drawn.axes)
            footer = drawn.texts[-1].get_text().replace("\n", " ")
        assert "expert 7\nGPU 7" in eight
        assert {"D: 8 x Llama 3 70B INT8, TP=1", "E: 8 x Llama 3 8B FP16, TP=1"} <= {*eight}
        assert "F: 4 x Llama 3 8B FP16, TP=2" in four_
        assert "Classifier: kmeans, k = 4" in four_
        boxes = [text for text in four_ if text.startswith("expert")]
        assert boxes == [f"expert {n}\nGPUs {2 * n}, {2 * n + 1}" for n in range(4)]
        assert "no gateway" in none
        dots = ["Dots: 3 of 9"] if alike else ["Dots of D, E: 3 of 9", "Dots of F: 3 of 12"]
        assert [part for part in dots if f"{part} samples" in footer] == dots
        assert footer.count("Dots") == len(dots)
