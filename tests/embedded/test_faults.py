"""What the command line says when the machine is not as it must be; Triton is never started."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from er import story, sweep
from er.errors import ErError
from er.routing import corpus

ROOT = Path(__file__).parent.parent.parent


def er_run(*overrides: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "er.run", "+experiment=fig4", "deployment=a", *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_line(done: "subprocess.CompletedProcess[str]", code: int, says: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("er: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "starting" not in done.stdout


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("deployment.tp=3", "deployment.tp is 3"),
        ("load.nothing=1", "load.nothing"),
        ("deployment=z", "Could not find 'deployment/z'"),
    ],
)
def test_a_bad_request_ends_with_code_2(override: str, says: str) -> None:
    assert_one_line(er_run(override), 2, says)


def test_a_runs_dir_that_cannot_be_written_ends_with_code_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = er_run(f"runs_dir={tmp_path}/file", "tracking.uri=sqlite:///:memory:")
    assert_one_line(done, 1, f"cannot write runs to runs_dir {tmp_path}/file")


def test_an_mlflow_store_that_cannot_be_opened_ends_with_code_1(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    assert_one_line(er_run(f"runs_dir={tmp_path}"), 1, "mlflow.db is not an SQLite database")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_busy_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = er_run(f"runs_dir={tmp_path}", f"server.http_port={port}")
    assert_one_line(done, 1, f"server.http_port {port} cannot be opened")


def test_a_corrupted_corpus_cache_is_named(tmp_path: Path, cache_dir: Path) -> None:
    overrides = ["+experiment=fig4", "deployment=d", f"runs_dir={tmp_path}/runs"]
    [config] = sweep.plan([*overrides, f"cache_dir={tmp_path}/cache"])
    corpus.load(config.corpus, cache_dir)  # downloads at most once for all tests
    shutil.copytree(cache_dir / "packages", tmp_path / "cache" / "packages")
    story.check([config])
    [cached] = (tmp_path / "cache" / "corpora").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    with pytest.raises(ErError, match=cached.name):
        story.check([config])


def test_hydra_shows_the_configuration_without_running_it() -> None:
    done = er_run("--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "description: Llama 3 70B INT8, TP=4" in done.stdout
    assert "checking" not in done.stdout
