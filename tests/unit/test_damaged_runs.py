"""A damaged file of a run is named in one line by whatever command reads it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from er import bundle, compose, diff
from er import publish as publish_command
from er.claims import __main__ as claims
from er.cluster import laptop
from er.errors import ErError
from er.report import __main__ as report
from er.results.run_dir import RunDir, id_of
from er.tracking.publish import publish

Finished = Callable[..., RunDir]
EDITS = {"tokens_per_s": "12"}, {"tokens_per_s": -132.0}, {"ttft_s": 5}, {"concurrency": "1"}
POINT = (*EDITS, {"requests": 1.5}, {"newfield": 1}, {"ttft_s": {"bogus": 1}}, {"invalid": 3})
ANY = [b"", b'{"a": ', b"\xff\xfe", b"5", b"[" * 100_000, b"[5]"]
DAMAGES: dict[str, list[object]] = {
    "config.json": [
        *ANY, b"[]", b"null", {"deployment": None}, {"deployment": {"tp": "x"}},
        {"deployment": {"tp": 0}}, {"load": 5}, {"load": {"concurrency": ["1"]}}, {"study": 7},
    ],
    "run.json": [*ANY, b"[]", {"started": "yesterday"}, {"key": 1}, {"tags": []}],
    "provenance.json": [*ANY, b"[]", {"gpus": "NVIDIA"}, {"command": "er"}, {"packages": []}],
    "points.json": [*ANY, b'{"a": 1}', b"[null]", b'[{"concurrency": 1}]', *POINT],
    "step_times.json": [*ANY, b'{"about": 5}'],
    "knee.json": [*ANY, b'{"max_concurrency": "8"}'],
    "gateway_cost.json": [*ANY, b'{"ttft_difference_p50_s": "1"}'],
    "predicted.json": [*ANY, b'[{"concurrency": 1}]'],
    "requests/c0001.parquet": [b"", b"PAR1xx"],
}  # fmt: skip
CASES = [(name, damage) for name, damages in DAMAGES.items() for damage in damages]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, finished_run: Finished) -> Path:
    """A folder with a published run and its store."""
    folder = tmp_path_factory.mktemp("whole")
    uri = f"sqlite:///{folder / 'runs' / 'mlflow.db'}"
    config = compose.plan(
        ["+experiment=fig4", "deployment=a", f"runs_dir={folder / 'runs'}", f"tracking.uri={uri}"]
    )[0]
    publish(finished_run(config), uri)
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> RunDir:
    """A copy of the run's directory."""
    [folder] = (whole / "runs" / "ladder").iterdir()
    return RunDir(Path(shutil.copytree(folder, tmp_path / "ladder" / folder.name)))


def damage(file: Path, how: object) -> None:
    """Replace a file, or values in it: those of a point, or of a section."""
    if isinstance(how, bytes):
        file.write_bytes(how)
        return
    values = json.loads(file.read_text())
    entry = values[0] if isinstance(values, list) else values
    assert isinstance(how, dict)
    for name, value in how.items():
        merges = isinstance(value, dict) and isinstance(entry[name], dict)
        entry[name] = {**entry[name], **value} if merges else value
    file.write_text(json.dumps(values))


@pytest.mark.parametrize(("name", "how"), CASES, ids=lambda value: str(value)[:40])
def test_a_damaged_file_is_named(
    run: RunDir,
    whole: Path,
    name: str,
    how: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [other] = (whole / "runs" / "ladder").iterdir()
    damage(run.path / name, how)
    uri = f"sqlite:///{run.path.parent}/mlflow.db"
    monkeypatch.setattr("sys.argv", ["er.publish", str(run.path), "--uri", uri])
    commands: list[Callable[[], object]] = [run.check, publish_command.main]
    if name in ("config.json", "provenance.json", "points.json", "step_times.json"):
        commands.append(lambda: diff.answer([str(other), str(run.path)]))
    if name in ("config.json", "run.json"):
        commands.append(lambda: laptop.status(run.path.parent))
    for command in commands:
        with pytest.raises(ErError, match=f"{name} is damaged") as raised:
            command()
        assert "\n" not in str(raised.value)
    assert capsys.readouterr().out == ""
    assert not list(run.path.parent.glob("mlflow*"))


def test_a_run_is_published_under_two_ids_unless_a_point_is_edited(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{run.path.parent}/mlflow.db"
    monkeypatch.setattr("sys.argv", ["er.publish", str(run.path), "--uri", uri])
    points = (run.path / "points.json").read_bytes()
    damage(run.path / "points.json", {"tokens_per_s": 1.0})
    with pytest.raises(ErError, match=rf"{run.path.name}: its point of 1 user is not what was"):
        publish_command.main()
    assert not list(run.path.parent.glob("mlflow*"))
    (run.path / "points.json").write_bytes(points)
    publish_command.main()
    own = id_of(run.read("run.json"))
    out = capsys.readouterr().out
    assert re.search(rf"MLflow run [0-9a-f]{{32}}, id {own} in figures, er.claims", out)
    claims.answer(["fig4", f"uri={uri}"])
    out = capsys.readouterr().out
    assert own[:8] in out
    assert claims.IDS in out


@pytest.mark.parametrize("name", ["config.json", "run.json"])
def test_what_a_file_lacks_is_named(
    run: RunDir, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / name).write_text("{}")
    uri = f"sqlite:///{run.path.parent}/mlflow.db"
    monkeypatch.setattr("sys.argv", ["er.publish", str(run.path), "--uri", uri])
    with pytest.raises(ErError, match=rf"{name} is damaged \(it has no \w+\): put"):
        publish_command.main()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("config.json", b"[]"),
        ("run.json", b"{}"),
        ("provenance.json", b"5"),
        ("provenance.json", {"command": 5}),
        ("points.json", {"tokens_per_s": "12"}),
        ("requests/c0001.parquet", b"PAR1xx"),
    ],
)
def test_a_damaged_artifact_is_named(
    whole: Path, tmp_path: Path, name: str, how: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    [artifact] = (whole / "runs" / "mlartifacts").glob(f"ladder/*/artifacts/{name}")
    content = artifact.read_bytes()
    uri = f"uri=sqlite:///{whole / 'runs' / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)
    damage(artifact, how)
    try:
        for command in (
            lambda: claims.answer(["fig4", uri]),
            lambda: report.answer(["ladder", uri]),
            lambda: bundle.answer(["export", "ladder", "x.zip", uri]),
        ):
            with pytest.raises(ErError, match=f"{name} is damaged") as raised:
                command()
            assert "\n" not in str(raised.value)
    finally:
        artifact.write_bytes(content)
    assert list(tmp_path.iterdir()) == []
