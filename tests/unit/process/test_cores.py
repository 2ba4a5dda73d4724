"""Which part of a deployment runs where, in a job of a cluster."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from er.compose import plan
from er.process import cores
from er.process.cores import Split, running_on, split, split_for
from er.process.group import running

SHOW = "import os, json; print(json.dumps(sorted(os.sched_getaffinity(0))), flush=True)"


def alone(count: int) -> list[tuple[int, ...]]:
    return [(cpu,) for cpu in range(count)]


def test_a_node_is_split_and_all_of_it_is_used() -> None:
    assert split(alone(64), routed=True).described() == {
        "server": "0-51",
        "gateway": "52-55",
        "load": "56-63",
    }
    assert split(alone(8), routed=True).described() == {
        "server": "0-4",
        "gateway": "5",
        "load": "6-7",
    }
    assert split(alone(112), routed=False).described() == {"server": "0-97", "load": "98-111"}
    assert split(alone(7), routed=True) == Split()


def test_threads_of_a_core_stay_together() -> None:
    parts = split([(core, core + 16) for core in range(16)], routed=True)

    assert parts.described() == {"server": "0-12,16-28", "gateway": "13,29", "load": "14-15,30-31"}


def test_threads_are_known_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        (tmp_path / str(cpu)).write_text(siblings)
    monkeypatch.setattr(cores, "SIBLINGS", f"{tmp_path}/{{}}")

    assert cores.physical([0, 1, 2, 3, 9]) == [(0, 2), (1, 3), (9,)]


def test_only_a_job_of_a_cluster_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000, 1064)))
    [laptop], [slurm] = plan([]), plan(["cluster=slurm"])

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert split_for(slurm.cluster, True) == Split()
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert split_for(laptop.cluster, True) == Split()
    assert split_for(slurm.cluster, True).described()["load"] == "1056-1063"


def test_what_is_started_stays_where_it_was_started(tmp_path: Path) -> None:
    mine = sorted(os.sched_getaffinity(0))
    log = tmp_path / "log"
    done = threading.Event()

    with running_on((mine[-1],)):
        assert cores.chosen() == (mine[-1],)
        server = running([sys.executable, "-c", SHOW], log, name="x", stop_timeout_s=5)
        with server as child:
            while child.poll() is None:
                done.wait(0.02)
            shown = subprocess.check_output([sys.executable, "-c", SHOW])

    assert json.loads(log.read_text()) == json.loads(shown) == [mine[-1]]
    assert sorted(os.sched_getaffinity(0)) == mine
    assert cores.chosen() == ()
