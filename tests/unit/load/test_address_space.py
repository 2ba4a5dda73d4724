"""A low limit of address space is reported before libraries fail at it."""

import resource
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "er.load", "target=http://127.0.0.1:9/v1/completions"]


@pytest.mark.parametrize(("megabytes", "shown"), [(1999, "1.999"), (1000, "1.00"), (250, "0.25")])
def test_little_address_space_is_refused_in_one_line(megabytes: int, shown: str) -> None:
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
        f"{shown}: raise it (ulimit -v unlimited)\n"
    )
