"""The measured study that the repository keeps: read by the commands that made it, and pinned."""

import re
import zipfile
from pathlib import Path

import pytest

from er import bundle
from er.errors import ErError
from er.tracking import pins
from paper_figures import command

KEPT = Path(__file__).parents[2] / "experiments" / "fig4"
LOCK = KEPT / "runs.lock.yaml"
# A folder of a machine, such as /home/me/er: at the start of a word, with another below it.
FOLDER = re.compile(r"(?<![^\s\"'=])/\w[\w.-]*/\w[^\s\"']*")


def test_its_pinned_figure_is_the_same_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    bundle.answer(["import", str(KEPT / "laptop.zip"), f"runs_dir={tmp_path}", f"uri={uri}"])
    assert "verdicts: 11 decided again, as in the bundle" in capsys.readouterr().out
    for folder in ("once", "again"):
        command.answer("fig4", [f"runs={LOCK}", f"uri={uri}", f"out={tmp_path / folder}"])
    once, again = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("once", "again")
    )
    assert len(once) == 4
    assert once == again

    changed = tmp_path / "changed.yaml"
    changed.write_text(LOCK.read_text().replace("digest: ", "digest: 0"))
    with pytest.raises(ErError, match="is not what"):
        pins.chosen(uri, str(changed))


def test_it_names_no_folder_of_the_machine_that_measured_it() -> None:
    with zipfile.ZipFile(KEPT / "laptop.zip") as bundle:
        texts = [name for name in bundle.namelist() if name.endswith((".json", ".log", ".svg"))]
        found = {name: FOLDER.findall(bundle.read(name).decode()) for name in texts}
    assert any(name.endswith("triton.log") for name in texts)
    assert {name: folders for name, folders in found.items() if folders} == {}
