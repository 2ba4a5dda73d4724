"""A study that travels, and what differs between two runs."""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from er import bundle, compose
from er.claims import statements
from er.claims.verdicts import decide
from er.errors import ConfigError, ErError
from er.results import archive
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.publish import publish

Finished = Callable[..., RunDir]


def test_another_machine_has_the_same_points_and_verdicts(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    there = f"sqlite:///{tmp_path / 'there' / 'mlflow.db'}"
    words = [f"runs_dir={tmp_path / 'there'}", f"uri={there}"]
    for _ in range(2):  # a second time changes nothing
        bundle.answer(["import", str(exported), *words])
    said = capsys.readouterr().out
    assert "er.report ladder" in said
    assert "verdicts: 11 decided again, as in the bundle" in said
    assert said.count("as in the bundle byte for byte") == 2 * 3  # PNG, PDF, SVG
    assert "DIFFERS" not in said
    before, after = query.shown(here, "ladder"), query.shown(there, "ladder")
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
    bundle.answer(["export", "ladder", str(again), f"uri={uri}"])
    assert again.read_bytes() == exported.read_bytes()


def test_requests_stay_behind_when_they_are_not_wanted(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    small = tmp_path / "small.zip"
    bundle.answer(["export", "ladder", str(small), f"uri={uri}", "requests=false"])
    for file, kept in ((small, False), (exported, True)):
        names = zipfile.ZipFile(file).namelist()
        assert any("requests/" in name for name in names) is kept
    words = [f"runs_dir={tmp_path / 'x'}", f"uri=sqlite:///{tmp_path / 'x' / 'mlflow.db'}"]
    bundle.answer(["import", str(small), *words])
    assert "not checked: without requests" in capsys.readouterr().out


def test_what_an_import_makes_otherwise_than_the_bundle_says_is_told(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = zipfile.ZipFile(exported).read("views/verdicts.json").decode()
    values = json.loads(content)
    claim = values["claims"]["fig4 d-minimum-raised"]
    claim["verdict"] = "reproduced"
    values["claims"]["fig9 unheard-of"] = claim
    values["made_with"] |= {"matplotlib": "3.0", "er's code for figures": "0123456789ab"}
    other = resealed(exported, {
        "views/verdicts.json": json.dumps(values).encode(), "views/fig4.svg": b"<svg/>",
    })  # fmt: skip
    words = [f"runs_dir={tmp_path / 'x'}", f"uri=sqlite:///{tmp_path / 'x' / 'mlflow.db'}"]
    bundle.answer(["import", str(other), *words])
    said = capsys.readouterr().out
    assert "DIFFERS: fig4 d-minimum-raised was reproduced, and is not decidable here" in said
    assert "DIFFERS: fig9 unheard-of is stated only in the bundle" in said
    assert re.search(r"DIFFERS: fig4\.svg .*matplotlib 3\.0 there", said)
    assert re.search(
        r"DIFFERS: fig4\.svg .*er's code for figures 0123456789ab there, \w+ here", said
    )
    assert (tmp_path / "x" / "figures" / other.stem / "bundled" / "fig4.svg").exists()
    assert said.count("as in the bundle byte for byte") == 2


def resealed(file: Path, contents: dict[str, bytes]) -> Path:
    """A bundle with other files, whose list says so."""
    copy = file.with_name("resealed.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        manifest = json.loads(old.read(archive.MANIFEST))
        for name in old.namelist():
            content = contents.get(name, old.read(name))
            if name != archive.MANIFEST:
                manifest["files"][name] = hashlib.sha256(content).hexdigest()
                new.writestr(name, content)
        new.writestr(archive.MANIFEST, json.dumps(manifest))
    return copy


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
    for file, message in (
        (text, "not a bundle of er, or is damaged"),
        (foreign, "not a bundle of er"),
    ):
        with pytest.raises(ErError, match=message):
            archive.read(file, tmp_path / "there")


def test_a_file_that_is_cut_or_has_bits_turned_is_refused_wherever(
    exported: Path, tmp_path: Path
) -> None:
    content = exported.read_bytes()
    cut = tmp_path / "cut.zip"
    for place in range(0, len(content), len(content) // 40):
        turned = bytearray(content)
        turned[place] ^= 0xFF
        for damaged in (content[:place], bytes(turned)):
            cut.write_bytes(damaged)
            try:
                archive.read(cut, tmp_path / "there")
            except ErError as error:
                assert str(cut) in str(error)  # noqa: PT017
                assert not (tmp_path / "there").exists()
            else:  # what was turned is in a field that nothing reads
                assert damaged == bytes(turned)
                shutil.rmtree(tmp_path / "there")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"no json", "is not a list of files"),
        (b"[]", "is not a list of files"),
        (b"[" * 100_000, "is not a list of files"),
        (b'{"format": "er bundle 2"}', "says er bundle 2, not er bundle 1"),
        (b'{"format": "er bundle 1"}', "names no study and files"),
        (b'{"format": "er bundle 1", "study": "", "files": {}}', "names no study and files"),
        (b'{"format": "er bundle 1", "study": "..", "files": {}}', "missing|outside|not in"),
        (b'{"format": "er bundle 1", "study": "a/b", "files": {}}', "names no study and files"),
        (b'{"format": "er bundle 1", "study": 3, "files": {}}', "names no study and files"),
        (b'{"format": "er bundle 1", "study": "s", "files": []}', "names no study and files"),
    ],
)
def test_a_list_that_is_none_is_refused_in_one_line(
    exported: Path, tmp_path: Path, manifest: bytes, message: str
) -> None:
    with pytest.raises(ErError, match=message) as raised:
        archive.read(changed(exported, archive.MANIFEST, manifest), tmp_path / "there")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{}", "config.json is damaged .it has no study"),
        ("config.json", b"no json", "config.json is damaged .it is not JSON"),
        ("config.json", b"[]", "config.json is damaged .it is not an object"),
        ("config.json", b'{"study": "other"}', "is of study other"),
        ("config.json", b'{"study": "ladder"}', "config.json is damaged .it has no deployment"),
        ("run.json", b"{}", "run.json is damaged .it has no key"),
        ("points.json", b'[{"concurrency": 1}]', "damaged"),
        ("points.json", b"{}", "points.json is damaged"),
        ("requests/c0001.parquet", b"none", "c0001.parquet is damaged"),
    ],
)
def test_a_run_that_is_none_is_refused_though_its_digests_hold(
    exported: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    [place] = {
        n for n in zipfile.ZipFile(exported).namelist() if n.startswith("d-") if n.endswith(name)
    }
    file = resealed(exported, {place: content})
    words = [f"runs_dir={tmp_path / 'x'}", f"uri=sqlite:///{tmp_path / 'x' / 'mlflow.db'}"]
    with pytest.raises(ErError, match=message) as raised:
        bundle.answer(["import", str(file), *words])
    assert str(file) in str(raised.value)
    assert not (tmp_path / "x").exists()  # of no run, not of the good one either


def test_a_run_whose_points_are_edited_is_not_imported(exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported) as old:
        [place] = [n for n in old.namelist() if n.startswith("d-") and n.endswith("points.json")]
        entries = json.loads(old.read(place))
    entries[0]["tokens_per_s"] /= 10
    file = resealed(exported, {place: json.dumps(entries).encode()})
    words = [f"runs_dir={tmp_path / 'x'}", f"uri=sqlite:///{tmp_path / 'x' / 'mlflow.db'}"]
    with pytest.raises(ErError, match=r"not imported: run d-.*of 1 user .*little_ratio") as raised:
        bundle.answer(["import", str(file), *words])
    assert not isinstance(raised.value, ConfigError)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["foo", "views/further/fig4.png"])
def test_a_file_outside_any_run_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(exported) as old:
        manifest = json.loads(old.read(archive.MANIFEST))
    digest = hashlib.sha256(b"x").hexdigest()
    manifest["files"][name] = digest
    file = changed(exported, archive.MANIFEST, json.dumps(manifest).encode())
    with zipfile.ZipFile(file, "a") as more:
        more.writestr(name, "x")
    with pytest.raises(ConfigError, match=f"{name} belongs to no run"):
        archive.read(file, tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("study", ["figures", "x" * 101])
def test_a_study_that_cannot_be_called_so_is_refused(
    exported: Path, tmp_path: Path, study: str
) -> None:
    manifest = json.loads(zipfile.ZipFile(exported).read(archive.MANIFEST))
    changed_list = json.dumps({**manifest, "study": study}).encode()
    with pytest.raises(ConfigError, match=f"no study can be called {study}"):
        archive.read(changed(exported, archive.MANIFEST, changed_list), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_bundle_without_a_run_is_refused(exported: Path, tmp_path: Path) -> None:
    manifest = {"format": archive.FORMAT, "study": "ladder", "files": {}}
    file = exported.with_name("empty.zip")
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(archive.MANIFEST, json.dumps(manifest))
    with pytest.raises(ConfigError, match="it has no run"):
        archive.read(file, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_later_command_that_names_a_run_anew_makes_it_no_other(
    exported: Path, tmp_path: Path
) -> None:
    folders = archive.read(exported, tmp_path / "there").runs
    record = RunDir(folders[0]).read("run.json")
    RunDir(folders[0]).relabel({**record["tags"], "er.sweep": "later", "er.title": "another"})
    assert archive.read(exported, tmp_path / "there").runs == folders
    assert RunDir(folders[0]).read("run.json")["tags"]["er.sweep"] == "later"
    RunDir(folders[0]).write("run.json", {**record, "started": "2020-01-01T00:00:00+00:00"})
    with pytest.raises(ErError, match=r"is there with another run\.json"):
        archive.read(exported, tmp_path / "there")


def test_of_several_runs_none_is_placed_where_one_differs(exported: Path, tmp_path: Path) -> None:
    first, second = archive.read(exported, tmp_path / "there").runs
    shutil.rmtree(first)
    (second / "points.json").write_text("[]")
    with pytest.raises(ErError, match=r"is there with another points\.json"):
        archive.read(exported, tmp_path / "there")
    assert [path.name for path in second.parent.iterdir()] == [second.name]


@pytest.mark.usefixtures("exported")
def test_an_export_says_which_runs_went_in_and_how_to_get_the_others(
    tmp_path: Path, finished_run: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    measured = query.shown(uri, "ladder")
    words = ["+experiment=fig4", "deployment=e", "clock=virtual", f"runs_dir={tmp_path / 'runs'}"]
    run = finished_run(compose.plan(words)[0])
    record = run.read("run.json")
    run.write("run.json", {**record, "tags": {**record["tags"], "er.clock": "virtual"}})
    publish(run, uri)
    arguments = ["export", "ladder", str(tmp_path / "new.zip"), f"uri={uri}", "requests=false"]
    bundle.answer(arguments)
    out = capsys.readouterr().out
    assert re.search(r"^  e: predicted, simulated engines, run [0-9a-f]{32}$", out, re.M)
    [named] = re.findall(r"^not in it: 2 runs measured, simulated .* runs=(\S+)$", out, re.M)
    assert {*named.split(",")} == {run.id[:8] for run in measured}
    assert "an import can check neither points nor verdicts" in out
    bundle.answer([*arguments, f"runs={named}"])
    out = capsys.readouterr().out
    assert "measured, simulated engines" in out
    assert "not in it" not in out


def test_a_file_that_would_fill_the_disk_is_refused(exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported) as old:
        names = old.namelist()
    bomb = tmp_path / "bomb.zip"
    manifest = {"format": archive.FORMAT, "study": "s", "files": {"a/x": "0"}}
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/x", bytes(50_000_000))
        made.writestr(archive.MANIFEST, json.dumps(manifest))
    with pytest.raises(ErError, match=r"would become 50\.0 MB"):
        archive.read(bomb, tmp_path / "there")
    assert names


def test_a_file_that_is_in_it_twice_is_refused(exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported) as old:
        [name] = [n for n in old.namelist() if n.startswith("a-") and n.endswith("points.json")]
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(exported, "a") as more:
        more.writestr(name, b"[]")
    with pytest.raises(ErError, match=f"{name} is in it twice"):
        archive.read(exported, tmp_path / "there")


def test_hosts_can_have_numbers_in_place_of_their_names(
    tmp_path: Path, finished_run: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    hosts = {"a": {"host": "node7"}, "d": {"host": "node7", "nodes": ["node7", "node70"]}}
    for name, facts in hosts.items():
        words = ["+experiment=fig4", f"deployment={name}", f"runs_dir={tmp_path / 'runs'}"]
        run = finished_run(compose.plan(words)[0])
        for file in (run.path / "provenance.json", *run.path.glob("sessions/*/session.json")):
            values = json.loads(file.read_text())
            values |= {"provenance": facts} if "provenance" in values else facts
            file.write_text(json.dumps(values))
        (run.path / "logs" / "node70").mkdir()
        (run.path / "logs" / "node70" / "triton.log").write_text("at node70.site:8000, node700\n")
        publish(run, uri)
    pins = {}
    for choice in ("named", "numbered"):
        file, there = tmp_path / f"{choice}.zip", tmp_path / choice
        bundle.answer(["export", "ladder", str(file), f"uri={uri}", f"hosts={choice}"])
        with zipfile.ZipFile(file) as made:
            texts = {name: made.read(name) for name in made.namelist() if "." in name}
        assert any(b"node7" in text for text in texts.values()) or choice == "numbered"
        words = [f"runs_dir={there}", f"uri=sqlite:///{there / 'mlflow.db'}"]
        bundle.answer(["import", str(file), *words])
        pins[choice] = [run.digest for run in query.shown(words[1][4:], "ladder")]
    assert "DIFFERS" not in capsys.readouterr().out
    assert pins["named"] == pins["numbered"]
    [log] = [name for name in texts if name.startswith("d-") and name.endswith("triton.log")]
    assert log.endswith("logs/host-2/triton.log")
    assert texts[log] == b"at host-2.site:8000, node700\n"
    left = {name for name, text in texts.items() if re.search(rb"node70?\b", text)}
    assert left == set()
    [own] = [text for name, text in texts.items() if re.match("d-.*provenance", name)]
    assert json.loads(own)["nodes"] == ["host-1", "host-2"]


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
    folders = archive.read(exported, tmp_path / "there").runs
    (folders[0] / "points.json").write_text("[]")
    with pytest.raises(ErError, match=r"is there with another points\.json"):
        archive.read(exported, tmp_path / "there")
    assert (folders[0] / "points.json").read_text() == "[]"
