"""What er.bundle refuses before it reads or writes a bundle."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from er import bundle, compose
from er.errors import ErError
from er.report import carried
from er.results import archive
from er.results.command_id import new_id
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.publish import publish
from er.tracking.study import publish_study
from paper_figures import view


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for file, message in ((tmp_path / "none.zip", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ErError, match=f"cannot read {file}: {message}"):
            archive.read(file, tmp_path / "there")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "ladder", "."], "cannot be written"),
        (["export", "ladder", "x.zip", "requests=some"], "requests is some"),
        (["export", "ladder", "x.zip", "hosts=none"], "hosts is none"),
        (["pin", "ladder", "x.lock"], "call it x.yaml"),
        (["export", "other", "x.zip"], "no finished run of study other"),
        (["export", "ladder", "x.zip", "runs=it's"], "is no run"),
        (["export", "ladder", "x.zip", "runs=%"], "is no run"),
        (["export", "ladder", "/dev/null"], "/dev/null cannot be written: give a file"),
        (["pin", "ladder", "/dev/null"], "/dev/null cannot be written: give a file"),
        (["carry", "ladder"], "give export STUDY"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ErError, match=message) as raised:
        bundle.answer([*arguments, "uri=sqlite:///runs/mlflow.db"])
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [exported.name, "runs"]


def test_an_address_that_is_none_is_refused_before_anything_is_imported(tmp_path: Path) -> None:
    with pytest.raises(ErError, match="uri is 'x': give sqlite"):
        bundle.answer(["import", str(tmp_path / "b.zip"), f"runs_dir={tmp_path}", "uri=x"])


@pytest.mark.usefixtures("exported")
def test_runs_of_another_study_are_not_exported_as_its_own(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    one = query.shown(uri, "ladder")[0].id
    with pytest.raises(ErError, match=f"run {one} is of study ladder, not of mine"):
        bundle.answer(["export", "mine", str(tmp_path / "x.zip"), f"runs={one}", f"uri={uri}"])


def test_a_bundle_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    """Neither it nor a part of it; what was there before stays."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "points.json").symlink_to("/proc/self/mem")  # cannot be read
    file = tmp_path / "b.zip"
    file.write_text("before")
    with pytest.raises(ErError, match=r"cannot write .*b\.zip: .*: make room"):
        archive.write(file, "s", {"a": tmp_path / "run"}, [], requests=True)
    assert file.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "b.zip"}


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff",
        b"[1]",
        b'{"claims": {"x": {"verdict": "", "formula": "", "effect": "", "ratio": "1"}},'
        b' "made_with": {}}',
    ],
)
def test_verdicts_that_are_none_are_as_if_none_were_carried(content: bytes) -> None:
    assert carried.read_verdicts(content) == {"claims": {}, "made_with": {}}


def test_a_bundle_has_the_figures_too_that_later_commands_drew_of_its_runs(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, runs_dir = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}", tmp_path / "runs"
    drawn = view.draw_runs("fig6", query.shown(uri, "ladder"), tmp_path / "figures").files
    publish_study(uri, "ladder", "measured", runs_dir, drawn, "")
    file = tmp_path / "both.zip"
    bundle.answer(["export", "ladder", str(file), f"uri={uri}"])
    there = tmp_path / "there"
    bundle.answer(["import", str(file), f"runs_dir={there}", f"uri=sqlite:///{there}/mlflow.db"])
    said = capsys.readouterr().out
    names = re.findall(r"^figure: \S+/(\S+), as in the bundle byte for byte$", said, re.M)
    assert names == [f"fig{n}.{kind}" for n in (4, 6) for kind in ("pdf", "png", "svg")]
    assert exported.stat().st_size < file.stat().st_size


def test_an_import_beside_newer_runs_says_how_to_show_what_it_brought(
    exported: Path, tmp_path: Path, finished_run: Callable[..., RunDir],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    there = tmp_path / "there"
    uri = f"sqlite:///{there}/mlflow.db"
    words = ["import", str(exported), f"runs_dir={there}", f"uri={uri}"]
    bundle.answer(words)
    assert f"look at it with python -m er.report ladder uri={uri}" in capsys.readouterr().out
    brought = query.shown(uri, "ladder")
    newer = finished_run(compose.plan(["study=ladder", "seed=7", f"runs_dir={there}"])[0])
    newer.relabel(newer.read("run.json")["tags"] | {"er.sweep": new_id()})
    publish(newer, uri)
    bundle.answer(words)
    [ids] = re.findall(r"python -m er\.report ladder runs=(\S+) uri=", capsys.readouterr().out)
    assert ids.split(",") == [run.id[:8] for run in brought]
