"""The measured study that the repository keeps: read by the commands that made it, and pinned."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from er import bundle
from er.claims import documents, overview, statements
from er.claims.__main__ import PAGE, README, verdicts_on
from er.errors import ErError
from er.results.names import PROVENANCE
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


def test_what_the_pages_say_of_it_is_what_the_command_writes(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    bundle.answer(["import", str(KEPT / "laptop.zip"), f"runs_dir={tmp_path}", f"uri={uri}"])
    claims = [claim for name in statements.names() for claim in statements.read(name)]
    verdicts = verdicts_on(claims, uri, runs=pins.chosen(uri, str(LOCK)))
    shutil.copytree(KEPT.parent, tmp_path / "experiments")
    copies = {page: tmp_path / page.name for page in (PAGE, README)}
    for page, copy in copies.items():
        shutil.copy(page, copy)
    written = documents.write(verdicts, tmp_path / "experiments", *copies.values())
    assert len(written) == 4 + 2
    for page in (*KEPT.parent.glob("*/README.md"), PAGE, README):
        copy = copies.get(page, tmp_path / "experiments" / page.parent.name / page.name)
        assert copy.read_text() == page.read_text()


def test_every_page_has_the_same_predicted_verdicts() -> None:
    said = {name: cells[0] for name, cells in overview.rows_of(README.read_text()).items()}
    assert len(said) == sum(len(statements.read(name)) for name in statements.names())
    of_experiments = [path.read_text() for path in sorted(KEPT.parent.glob("*/README.md"))]
    for text in (PAGE.read_text(), "".join(of_experiments)):
        parts = text.split("## Held against the paper, predicted")[1:]
        tables = [part.partition("<!-- end of what was predicted")[0] for part in parts]
        rows = re.findall(r"^\| \*\*(\w+ [\w-]+)\*\* .*?\*\*(.+?)\*\* \|", "".join(tables), re.M)
        assert dict(rows) == said


def test_it_names_no_folder_of_the_machine_that_measured_it() -> None:
    with zipfile.ZipFile(KEPT / "laptop.zip") as bundle:
        texts = [name for name in bundle.namelist() if name.endswith((".json", ".log", ".svg"))]
        found = {name: FOLDER.findall(bundle.read(name).decode()) for name in texts}
    assert any(name.endswith("triton.log") for name in texts)
    assert {name: folders for name, folders in found.items() if folders} == {}


def test_it_names_no_host() -> None:
    with zipfile.ZipFile(KEPT / "laptop.zip") as bundle:
        facts = [json.loads(bundle.read(n)) for n in bundle.namelist() if n.endswith(PROVENANCE)]
    assert [run["host"] for run in facts] == ["host-1"] * 5
