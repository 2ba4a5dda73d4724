"""er.serve keeps one deployment up for other clients."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from processes import processes_naming

pytestmark = pytest.mark.embedded


def started(runs_dir: Path) -> tuple[subprocess.Popen[str], str]:
    """The command, and where it says that Triton's API is."""
    command = [sys.executable, "-m", "er.serve", "deployment=a", f"runs_dir={runs_dir}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"Triton's API: +(\S+)", line):
            return process, found.group(1)
    raise AssertionError(process.communicate()[1])


def test_it_answers_until_it_is_terminated(tmp_path: Path) -> None:
    process, url = started(tmp_path)
    body = json.dumps({"text_input": "hello", "max_tokens": 3, "stream": True}).encode()

    with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
        events = [line for line in answer.read().splitlines() if line.startswith(b"data:")]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=90)

    assert len(events) == 3
    assert (process.returncode, errors) == (
        143,
        "er.serve: terminated: everything started is stopped\n",
    )
    assert processes_naming(str(tmp_path)) == []


def test_a_model_that_dies_ends_it(tmp_path: Path) -> None:
    process, _ = started(tmp_path)
    stubs = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "stub" in " ".join(child.cmdline()[:1])
    ]

    stubs[0].kill()
    _, errors = process.communicate(timeout=90)

    assert process.returncode == 1
    assert "er.serve: " in errors
    assert processes_naming(str(tmp_path)) == []
