"""The kinds of gateway decide alike."""

from pathlib import Path

import pytest

from er import config
from er.compose import plan
from er.errors import ErError
from er.gateway.choosers import chooser
from er.gateway.plan import Plan
from er.gateway.process import build_simple
from er.gateway.simple.sklearn_pipeline import chooser as sklearn_chooser
from er.gateway.trained import Trained
from er.routing.router import Router, save
from tests.unit.gateway.conftest import TOPICS

TEXTS = [*TOPICS.values(), "court butter", "Oven, oven; COURT!", "", "nothing known", "é court 12"]


@pytest.fixture
def file(router: Router, tmp_path: Path) -> Path:
    save(router, tmp_path / "router.npz")
    return tmp_path / "router.npz"


def test_scikit_learns_pipeline_decides_as_the_router(router: Router, file: Path) -> None:
    choose = sklearn_chooser(config.Policy.kmeans, file, 2)
    fast = chooser(config.Policy.kmeans, file, 2)
    assert isinstance(fast, Trained)
    for text in TEXTS:
        assert choose(text, []) == router.classify(text) == fast.choose(text, [])[0]


@pytest.mark.parametrize("kind", ["aiohttp", "sklearn"])
def test_the_simple_kinds_know_no_replicas(kind: str) -> None:
    [job] = plan([f"gateway={kind}"])
    with pytest.raises(ErError, match=f"gateway={kind} knows no replicas"):
        build_simple(Plan(job.gateway, [["http://a/v1", "http://b/v1"]], config.Policy.random))
