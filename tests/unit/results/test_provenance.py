"""The provenance of a run: machine, code and command."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from er import compose
from er.results import provenance
from er.results.request import ServedModel
from er.server import kinds


def test_the_command_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(provenance.ROOT / "er" / "run.py"), "+experiment=fig4"])
    assert provenance.collect()["command"] == ["er/run.py", "+experiment=fig4"]
    assert str(provenance.ROOT) not in json.dumps(provenance.collect())


def test_what_lies_elsewhere_stays_absolute() -> None:
    assert provenance.without_checkout("/elsewhere/er/run.py") == "/elsewhere/er/run.py"
    beside = f"{provenance.ROOT}-2/er/run.py"
    assert provenance.without_checkout(beside) == beside


def test_what_the_engine_is_names_no_folder_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [config] = compose.plan(["deployment=a", "cache_dir=.cache"])
    monkeypatch.setattr(kinds, "serving", lambda *_: nullcontext([]))
    cache = str(provenance.ROOT / ".cache")
    model = ServedModel("expert_0", "any", 0, {"cache_dir": cache, "spec": "{}"})
    with kinds.serve([model], config, tmp_path):
        pass
    recorded = json.loads((tmp_path / "engine.json").read_text())
    assert recorded == {"cache_dir": ".cache", "spec": "{}"}
    assert model.parameters["cache_dir"] == cache  # where the engine itself looks
