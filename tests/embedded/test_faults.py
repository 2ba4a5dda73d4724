"""Messages about a machine on which a command cannot run; Triton is never started."""

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from er import cli, compose, run
from er.corpus import collection
from er.errors import ConfigError, ErError
from er.study import job

ROOT = Path(__file__).parent.parent.parent
FIG4_A = ["+experiment=fig4", "deployment=a"]


def refusal(
    capsys: pytest.CaptureFixture[str], *overrides: str, kind: type[ErError] = ErError
) -> str:
    """The line with which a run is refused before anything is started."""
    with pytest.raises(kind) as refused:
        run.answer([*FIG4_A, *overrides])
    assert "\n" not in str(refused.value)
    assert "starting" not in capsys.readouterr().out
    return str(refused.value)


def test_a_bad_request_ends_with_one_line_and_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "er.run", *FIG4_A, "deployment.tp=3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("er: deployment.tp is 3")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("load.nothing=1", "load.nothing"),
        ("deployment=z", "Could not find 'deployment/z'"),
        ("figures=[fig99]", "figures has fig99"),
        ("--nothing", "--nothing is not known"),
    ],
)
def test_a_bad_request_is_refused(
    override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(capsys, override, kind=ConfigError)


def test_a_runs_dir_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(capsys, f"runs_dir={tmp_path}/file", "tracking.uri=sqlite:///:memory:")
    assert message.startswith(f"runs_dir is '{tmp_path}/file'")


def test_an_mlflow_store_that_cannot_be_opened_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    assert "mlflow.db is not an SQLite database" in refusal(capsys, f"runs_dir={tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_busy_port_is_named_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        message = refusal(capsys, f"runs_dir={tmp_path}", f"server.http_port={port}")
    assert message.startswith(f"server.http_port {port} cannot be opened")


def test_a_corrupted_corpus_cache_is_named(tmp_path: Path, cache_dir: Path) -> None:
    [config] = compose.plan([*FIG4_A, f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache"])
    collection.load(config.corpus, cache_dir)  # made at most once for all tests
    damaged = collection.cache_path(config.corpus, tmp_path / "cache")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(collection.cache_path(config.corpus, cache_dir).read_bytes()[:1000])
    with pytest.raises(ErError, match=damaged.name):
        job.check([config])


def test_hydra_shows_the_configuration_without_running_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["er.run", *FIG4_A, "--cfg", "job"])
    assert run.main() == 0
    shown = capsys.readouterr().out
    assert "title: Llama 3 70B" in shown
    assert "checking" not in shown


def test_hydra_refuses_in_one_line_what_it_cannot_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["er.run", "--cfg", "job", "load.nothing=1"])
    assert run.main() == 2
    assert capsys.readouterr().err.startswith("er: load.nothing is not a known key")


def test_a_full_disk_is_one_line_and_an_error_in_er_a_traceback() -> None:
    assert cli.describe_error(OSError(errno.ENOSPC, "No space left on device")).startswith(
        "the disk is full"
    )
    with pytest.raises(ZeroDivisionError) as raised:
        raise ZeroDivisionError
    assert "test_faults.py" in cli.describe_error(raised.value)
