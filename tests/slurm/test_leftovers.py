"""Of a Slurm whose tests are killed nothing is left."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.standins.waiting import eventually

# As `site_of_tests.running` does it, with one process inside a node and one outside.
OWNER = """
import subprocess, sys, time
from pathlib import Path
from leftovers import cleared_at_death
from networks import joined

folder = Path(sys.argv[1])
with joined(("n1",), folder) as networks, cleared_at_death(folder, networks):
    started = [subprocess.Popen(["sleep", "300"], env={"SLURM_CONF": f"{folder}/slurm.conf"})]
    if networks:
        started.append(subprocess.Popen(networks.inside("n1", ["sleep", "300"])))
    print(networks.tag if networks else "", *(one.pid for one in started), flush=True)
    time.sleep(300)
"""


def test_a_killed_owner_leaves_no_daemon_and_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=here) as owner:
        assert owner.stdout
        tag, *pids = owner.stdout.readline().rstrip("\n").split(" ")
        assert all(psutil.pid_exists(int(pid)) for pid in pids)
        owner.kill()

    assert eventually(lambda: not any(map(runs, map(int, pids))))
    if not tag:
        pytest.skip("only root can make namespaces of networks, where it may")
    assert eventually(lambda: not list(Path("/run/netns").glob(f"er{tag}-*")))
    assert eventually(lambda: not list(Path("/sys/class/net").glob(f"er{tag}*")))


def runs(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
