"""The title of a deployment follows from its values, not from its file."""

import pytest

from er.compose import plan
from er.config.plain import plain
from er.results.labels import engines


@pytest.mark.parametrize(
    ("overrides", "title", "label"),
    [
        ("deployment=b", "Llama 3 70B FP16, TP=4", "llama3_70b fp16 TP=4"),
        ("deployment=b deployment.tp=8", "Llama 3 70B FP16, TP=8", "llama3_70b fp16 TP=8"),
        (
            "deployment=e deployment.experts=4",
            "Expert Router, 4 x Llama 3 8B FP16, TP=1",
            "4 x llama3_8b fp16 TP=1",
        ),
        ("deployment=b deployment.precision=int8", "Llama 3 70B INT8, TP=4", None),
    ],
)
def test_labels_come_from_the_values(overrides: str, title: str, label: str | None) -> None:
    [job] = plan([*overrides.split(), "clock=virtual"])
    assert job.title == title
    assert label is None or engines(plain(job)) == label
