"""The commands that serve deployments A-E on a node, beside the files that hold them.

After a change that is meant: ER_WRITE_GOLDEN=1 python -m pytest tests/golden, then read the diff.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from er import build
from er.process import container, shared_memory
from er.process.launchers import docker
from er.server import trtllm_launch
from tests.unit.engine.launches import composed, launches_of, places_of

FILES = Path(__file__).parent / "launch"
RUNTIMES = ("apptainer", "pyxis", "bare")
CASES = [
    *(("trtllm", deployment, "docker") for deployment in "abcde"),
    *(("trtllm", deployment, runtime) for deployment in "ad" for runtime in RUNTIMES),
    *(("llmapi", deployment, "docker") for deployment in "bce"),
    *(("llmapi_fp8", deployment, "docker") for deployment in "ad"),
    *(("llmapi", deployment, "pyxis") for deployment in "be"),
]


@pytest.fixture(autouse=True)
def known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs from machine to machine and from run to run."""
    monkeypatch.setattr(docker, "user", lambda: "1000:1000")
    monkeypatch.setattr(trtllm_launch, "unique", lambda name: f"er-0-{name}")
    monkeypatch.setattr(shared_memory, "prefix", lambda name: f"er_{name}_")


def lines(engine: str, deployment: str, runtime: str) -> str:
    """One command per engine, one argument per line."""
    config = composed(engine, deployment, runtime)
    commands = []
    for launch in launches_of(config):
        command = container.render(config.engine.container.runtime, launch)
        commands.append(" \\\n  ".join(shlex.quote(part) for part in command))
    return "\n\n".join(commands) + "\n"


@pytest.mark.parametrize(("engine", "deployment", "runtime"), CASES)
def test_launch_commands(engine: str, deployment: str, runtime: str) -> None:
    kind = "" if engine == "trtllm" else "llmapi_"
    path = FILES / f"{kind}{deployment}_{runtime}.sh"
    if os.environ.get("ER_WRITE_GOLDEN"):
        FILES.mkdir(exist_ok=True)
        path.write_text(lines(engine, deployment, runtime))
    assert lines(engine, deployment, runtime) == path.read_text()


def test_engines_stand_on_gpus_of_their_own() -> None:
    for deployment, expected in {
        "a": [(0, 1, 2, 3)],
        "c": [tuple(range(8))],
        "d": [(gpu,) for gpu in range(8)],
    }.items():
        places = places_of(composed("trtllm", deployment, "docker"))
        assert [place.gpus for place in places] == expected
        assert len({place.ports.http for place in places}) == len(expected)


def test_a_dry_run_names_absolute_folders_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["dry=true", "deployment=d"]) == 0
    out = capsys.readouterr().out
    folders = re.findall(r"(?:--volume|--model-repository|_dir)[= ](\S+)", out)
    assert len(folders) == 4 + 2 * 2 + 4, folders
    assert all(folder.startswith("/") for folder in folders)
    assert "and 7 more: port 8001, GPU 1; port 8002, GPU 2;" in out


def test_a_hub_cache_is_bound_with_what_its_links_lead_to(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "1", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "weights").touch()
    (snapshot / "config.json").touch()
    assert container.with_links(snapshot) == [snapshot]
    (snapshot / "model.safetensors").symlink_to("../../blobs/weights")
    assert container.with_links(snapshot) == [snapshot, blobs]
    assert container.with_links(tmp_path / "missing") == [tmp_path / "missing"]
