"""A study that travels, and what differs between two runs."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from er import bundle, compose, diff
from er.claims import statements
from er.claims.verdicts import decide
from er.errors import ConfigError, ErError
from er.results import archive
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.publish import publish

Finished = Callable[..., RunDir]


@pytest.fixture
def exported(tmp_path: Path, finished_run: Finished) -> Path:
    """A bundle of two published runs."""
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    for name in ("a", "d"):
        config = compose.plan([f"deployment={name}", f"runs_dir={tmp_path / 'runs'}"])[0]
        publish(finished_run(config), uri)
    file = tmp_path / "single.zip"
    assert bundle.answer(["export", "single", str(file), f"uri={uri}"]) == 0
    return file


def test_another_machine_has_the_same_points_and_verdicts(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    there = f"sqlite:///{tmp_path / 'there' / 'mlflow.db'}"
    words = [f"runs_dir={tmp_path / 'there'}", f"uri={there}"]
    for _ in range(2):  # a second time changes nothing
        bundle.answer(["import", str(exported), *words])
    assert "er.report single" in capsys.readouterr().out
    before, after = query.shown(here, "single"), query.shown(there, "single")
    assert [run.points for run in after] == [run.points for run in before]
    claims = [c for c in statements.read("fig4") if c.deployments in (("d", "a", "b", "c"),)]
    decided = [
        [(v.word, v.reason, v.comparisons) for v in decide(claims, runs)]
        for runs in (before, after)
    ]
    assert decided[0] == decided[1]


def test_the_same_runs_make_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    again = tmp_path / "again.zip"
    bundle.answer(["export", "single", str(again), f"uri={uri}"])
    assert again.read_bytes() == exported.read_bytes()


def test_requests_stay_behind_when_they_are_not_wanted(exported: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    small = tmp_path / "small.zip"
    bundle.answer(["export", "single", str(small), f"uri={uri}", "requests=false"])
    for file, kept in ((small, False), (exported, True)):
        names = zipfile.ZipFile(file).namelist()
        assert any("requests/" in name for name in names) is kept


def changed(file: Path, name: str, content: bytes | None) -> Path:
    """A copy of a bundle with one file replaced, or left out."""
    copy = file.with_name("changed.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for entry in {*old.namelist(), name}:
            if entry != name:
                new.writestr(entry, old.read(entry))
            elif content is not None:
                new.writestr(entry, content)
    return copy


def test_a_damaged_bundle_is_refused_by_name(exported: Path, tmp_path: Path) -> None:
    name = next(n for n in zipfile.ZipFile(exported).namelist() if n.endswith("points.json"))
    for content, message in (
        (b"[]", f"damaged: {name} is not what was exported"),
        (None, f"damaged: {name} is missing"),
    ):
        with pytest.raises(ErError, match=message):
            archive.read(changed(exported, name, content), tmp_path / "there")
    with pytest.raises(ErError, match="damaged: a/x is not in its list"):
        archive.read(changed(exported, "a/x", b""), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_foreign_file_is_refused_by_name(exported: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    foreign = changed(exported, archive.MANIFEST, b"{}")
    for file, message in ((text, "no bundle of er, or damaged"), (foreign, "no bundle of er")):
        with pytest.raises(ErError, match=message):
            archive.read(file, tmp_path / "there")


@pytest.mark.parametrize("name", ["../evil", "/evil"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    file = tmp_path / "evil.zip"
    manifest = {"format": archive.FORMAT, "study": "s", "files": {name: ""}}
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(archive.MANIFEST, json.dumps(manifest))
        made.writestr(name, "")
    with pytest.raises(ErError, match="outside of it"):
        archive.read(file, tmp_path / "there")


def test_a_run_that_is_there_with_other_files_is_kept(exported: Path, tmp_path: Path) -> None:
    _, folders = archive.read(exported, tmp_path / "there")
    (folders[0] / "points.json").write_text("[]")
    with pytest.raises(ErError, match=r"is there with another points\.json"):
        archive.read(exported, tmp_path / "there")
    assert (folders[0] / "points.json").read_text() == "[]"


def test_two_runs_are_told_apart(
    tmp_path: Path, finished_run: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        finished_run(compose.plan([f"seed={seed}", f"runs_dir={tmp_path / 'runs'}"])[0])
        for seed in (0, 7)
    ]
    assert list(diff.settings_apart(*runs)) == [("seed", "0", "7")]
    diff.answer([str(run.path) for run in runs])
    told = capsys.readouterr().out
    assert "What differs" in told
    assert "1.000" in told


def test_diff_takes_two_runs_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give two runs"):
        diff.answer(["one"])
    with pytest.raises(ErError, match="is no run directory"):
        diff.folder_of(str(tmp_path), "")
