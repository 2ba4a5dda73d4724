"""`make slurm-demo` leaves nothing behind when it is stopped."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_demo_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    demo = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("demo.py")],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(180, demo.kill)
    limit.start()
    assert demo.stdout
    while "er.run" not in demo.stdout.readline():
        assert demo.poll() is None
    demo.send_signal(number)
    err = demo.communicate()[1]
    limit.cancel()

    assert demo.returncode == code
    assert err.splitlines()[-1].startswith("slurm-demo: ")
    assert list(tmp_path.glob("er-slurm-*")) == []
    assert [one for one in psutil.process_iter() if str(tmp_path) in words_of(one)] == []


def words_of(process: psutil.Process) -> str:
    """The command and environment of a process."""
    try:
        return " ".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return ""
