"""A router is trained once for one set of inputs."""

from dataclasses import replace
from pathlib import Path

import pytest

from er import config
from er.corpus import collection as corpora
from er.errors import ConfigError, ErError
from er.routing import clusters
from er.routing.cached import router_for
from er.routing.router import load
from tests.unit.routing.conftest import CBTM


def test_the_second_call_trains_nothing(
    corpus: config.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = router_for(CBTM, corpus, 3, 0, tmp_path)
    monkeypatch.setattr(clusters, "fit", None)
    assert router_for(CBTM, corpus, 3, 0, tmp_path) == path


def test_every_input_makes_another_router(corpus: config.Corpus, tmp_path: Path) -> None:
    paths = {
        router_for(CBTM, corpus, 3, 0, tmp_path),
        router_for(CBTM, corpus, 3, 1, tmp_path),
        router_for(replace(CBTM, clusters=2), corpus, 2, 0, tmp_path),
        router_for(replace(CBTM, components=6), corpus, 3, 0, tmp_path),
        router_for(CBTM, replace(corpus, per_file_at_most=30), 3, 0, tmp_path),
    }
    assert len(paths) == 5
    assert sorted(load(path).experts for path in paths) == [2, 3, 3, 3, 3]


def test_held_out_prompts_are_not_trained_on(
    corpus: config.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fit = clusters.fit
    monkeypatch.setattr(
        clusters, "fit", lambda texts, *rest: seen.extend(texts) or fit(texts, *rest)
    )
    router_for(CBTM, corpus, 3, 0, tmp_path)
    texts = {text.text: text.split for text in corpora.load(corpus, tmp_path)}
    assert {texts[text] for text in seen} == {"train"}
    assert len(seen) == list(texts.values()).count("train")


def test_a_damaged_cached_router_is_refused_by_name(corpus: config.Corpus, tmp_path: Path) -> None:
    path = router_for(CBTM, corpus, 3, 0, tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ErError, match=path.name):
        router_for(CBTM, corpus, 3, 0, tmp_path)


def test_a_router_for_another_number_of_experts_is_refused(
    corpus: config.Corpus, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"routing\.clusters is 3, but there are 8 experts"):
        router_for(CBTM, corpus, 8, 0, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(corpus: config.Corpus, tmp_path: Path) -> None:
    corpora.load(corpus, tmp_path)
    (tmp_path / "routers").write_text("in the way")
    with pytest.raises(ErError, match=r"cannot write .*routers.*choose another folder"):
        router_for(CBTM, corpus, 3, 0, tmp_path)


def test_nothing_half_written_is_left(corpus: config.Corpus, tmp_path: Path) -> None:
    router_for(CBTM, corpus, 3, 0, tmp_path)
    assert list(tmp_path.rglob("*.part")) == []
