"""Jobs that share a cached composition are the same as Hydra makes without the cache."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose as compose_by_hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from er.compose import jobs, shared
from er.compose.schema import register_schema
from er.compose.search_path import groups_of, hydra_with

VALUES = [
    ["+experiment=policies", "deployment=e", "routing.policy=random"],
    ["+experiment=policies", "deployment=e", "routing.policy=kmeans"],
    ["clock=virtual", "deployment=c", "seed=3", "load.concurrency=[1,3]", "++load.ramp_s=2"],
    ["clock=virtual", "deployment=c", "gateway.service_s=0.5"],
    ["clock=virtual", "deployment=c", "gateway.service_s=0.7", "study='a b'"],
    ["gateway.service_s=0.2", "gateway=sklearn"],
    ["hydra.mode=RUN", "seed=1"],
]


def test_a_cached_composition_equals_hydras_own() -> None:
    register_schema()
    with hydra_with(None) as loader:
        parser, groups = OverridesParser.create(), groups_of(loader)
        for overrides in [*VALUES, *VALUES]:
            found = shared.composed("config", overrides, groups, parser)
            assert found == compose_by_hydra("config", overrides=overrides)


def test_a_bad_value_is_refused_as_hydra_refuses_it() -> None:
    register_schema()
    with hydra_with(None) as loader:
        parser, groups = OverridesParser.create(), groups_of(loader)
        for bad in ("seed=x", "load.nothing=1", "nothing=1"):
            with pytest.raises(HydraException) as by_hydra:
                compose_by_hydra("config", overrides=[bad])
            with pytest.raises(HydraException) as own:
                shared.composed("config", [bad], groups, parser)
            assert str(own.value) == str(by_hydra.value)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    register_schema()
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    for seed in (1, 22):
        file.write_text(f"# @package _global_\nseed: {seed}\n")
        with hydra_with(tmp_path) as loader:
            parser, groups = OverridesParser.create(), groups_of(loader)
            assert shared.composed("config", ["+experiment=mine"], groups, parser).seed == seed


def test_later_commands_compose_nothing_again_wherever_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shared, "_known", {})
    overrides = ["deployment=d", "clock=virtual"]
    [first] = jobs.plan(overrides)
    files = [*tmp_path.glob("er/composed/*/*.pickle")]
    with monkeypatch.context() as patch:
        patch.setattr(shared, "_known", {})
        patch.setattr(shared, "compose", refuse)
        patch.chdir(tmp_path)
        assert jobs.plan([*overrides, "seed=3"]) == [replace(first, seed=3)]
    for file in files:
        file.write_bytes(b"damaged")
    monkeypatch.setattr(shared, "_known", {})
    assert jobs.plan(overrides) == [first]
    assert b"damaged" not in {file.read_bytes() for file in files}
    monkeypatch.setattr(shared, "_known", {})
    monkeypatch.setattr(shared, "_folder", lambda: Path("/dev/null/none"))
    assert jobs.plan(overrides) == [first]


def test_what_was_made_of_older_files_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for age in range(shared.FOLDERS_KEPT + 2):
        old = tmp_path / "er" / "composed" / str(age)
        old.mkdir(parents=True)
        os.utime(old, (1000 - age, 1000 - age))
    monkeypatch.setattr(shared, "_known", {})
    jobs.plan([])
    left = {path.name for path in (tmp_path / "er" / "composed").iterdir()}
    assert len(left) == shared.FOLDERS_KEPT
    assert left > {str(age) for age in range(shared.FOLDERS_KEPT - 1)}


def test_groups_are_those_that_hydra_lists() -> None:
    register_schema()
    with hydra_with(None) as loader:
        assert groups_of(loader) == loader.list_groups("")
