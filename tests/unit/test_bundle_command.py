"""What er.bundle refuses before it reads or writes a bundle."""

from pathlib import Path

import pytest

from er import bundle
from er.errors import ErError
from er.report import carried
from er.results import archive
from er.tracking import query


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
