"""PostgreSQL as MLflow's store: several processes publish at once, into a store that is new."""

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from er.compose import plan
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.store import open_store

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
WRITERS = 3
# A process for each run; they are forked, since to import MLflow takes each of them seconds.
PUBLISH = """
import os, sys
from pathlib import Path
from er.results.run_dir import RunDir
from er.tracking.publish import publish
for path in sys.argv[2:]:
    if not os.fork():
        publish(RunDir(Path(path)), sys.argv[1])
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in sys.argv[2:]]))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def unprivileged() -> str | None:
    """Whom the server runs as: it refuses to run as root."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an empty database on a server of our own."""
    if not BINARIES:
        assert not os.environ.get("CI"), "install Debian's package postgresql"
        pytest.skip("needs Debian's package postgresql")
    user, port = unprivileged(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="er-postgres-"))
    if user:
        shutil.chown(folder, user)
    data = ["-D", str(folder / "data")]
    create = [BINARIES[-1] / "initdb", *data, "-U", "er", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(create, user=user, cwd=folder, check=True, capture_output=True)
    options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-F"]
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(
            [BINARIES[-1] / "postgres", *data, *options],
            user=user, cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(port, started)
        yield f"postgresql://er@127.0.0.1:{port}/postgres"
    finally:
        started.send_signal(signal.SIGINT)  # fast: does not wait for open connections
        started.wait(60)
        shutil.rmtree(folder)


def wait_for(port: int, started: "subprocess.Popen[bytes]") -> None:
    import psycopg

    deadline_s = time.monotonic() + 60
    while started.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="er", dbname="postgres").close()
            return
        time.sleep(0.05)
    raise AssertionError("PostgreSQL did not start")


def test_several_writers_at_once_publish_every_run_once(
    server: str, tmp_path: Path, finished_run: Callable[..., RunDir]
) -> None:
    runs = []
    for seed in range(WRITERS):
        [config] = plan(["deployment=a", f"seed={seed}", f"runs_dir={tmp_path / 'runs'}"])
        runs.append(finished_run(config))
    writers = subprocess.run(
        [sys.executable, "-c", PUBLISH, server, *(str(run.path) for run in runs)],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert writers.returncode == 0, writers.stderr
    client = open_store(server)
    study = client.get_experiment_by_name("single")
    published = client.search_runs([study.experiment_id])
    assert {run.data.tags["er.run_dir"] for run in published} == {str(run.path) for run in runs}
    assert len(published) == WRITERS
    assert {run.data.tags["mlflow.user"] for run in published} == {getpass.getuser()}
    for run in query.finished(server, "single"):
        history = client.get_metric_history(run.info.run_id, "validity/valid")
        assert sorted((metric.step, metric.value) for metric in history) == [(1, 1), (2, 0)]
