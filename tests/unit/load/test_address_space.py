"""A limit of address space, named before the libraries fail at it."""

import resource
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "er.load", "target=http://127.0.0.1:9/v1/completions"]


@pytest.mark.parametrize("megabytes", [1999, 1000, 250])
def test_little_address_space_is_refused_in_one_line(megabytes: int) -> None:
    limit = megabytes * 10**6
    ended = subprocess.run(
        COMMAND,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "er.load: the load generator needs 2 GB of address space, the shell allows "
        f"{limit / 1e9:.2f}: raise it (ulimit -v unlimited)\n"
    )
