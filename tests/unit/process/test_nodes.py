"""The nodes of a job, as Slurm names them in the environment."""

import os
from pathlib import Path

import pytest

from er.compose import plan
from er.config import Cluster
from er.errors import ConfigError, ErError
from er.process import nodes


def cluster(*overrides: str) -> Cluster:
    [config] = plan(["deployment=e", "cluster=slurm", *overrides])
    return config.cluster


@pytest.fixture
def _job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This is node n1 of a job."""
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$3" = "n[1-2]" ] && printf "n1\\nn2\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


TWO = ["cluster.nodes=2"]
SENDING = ["cluster.load_node=true", "cluster.load_nodes=2"]


@pytest.mark.usefixtures("_job")
def test_the_nodes_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")

    assert nodes.further(cluster(*TWO)) == ["n2"]
    assert nodes.further(cluster()) == []
    assert nodes.of_load(cluster(*TWO)) == []
    assert not [word for word in nodes.step("n2") if "het-group" in word]


@pytest.mark.usefixtures("_job")
def test_the_nodes_of_a_job_in_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST_HET_GROUP_0", "n[1-2]")
    monkeypatch.setenv("SLURM_JOB_NODELIST_HET_GROUP_1", "n3,n4")
    both = cluster(*TWO, *SENDING)

    assert nodes.further(both) == ["n2"]
    assert nodes.of_load(both) == ["n3", "n4"]
    assert "--het-group=0" in nodes.step("n2")
    starts = nodes.load_steps(both)
    assert [("--nodelist=n3" in start, "--het-group=1" in start) for start in starts] == [
        (True, True),
        (False, True),
    ]


@pytest.mark.usefixtures("_job")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [(TWO, "cluster.nodes is 2 and"), (SENDING, "cluster.load_nodes is 2 and")],
)
def test_a_job_without_its_nodes_is_an_error(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")
    wanted = cluster(*overrides)

    with pytest.raises(ErError, match=message):
        _ = nodes.further(wanted) or nodes.of_load(wanted)


def test_outside_of_a_job_all_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    wanted = cluster(*TWO, *SENDING)

    assert not [*nodes.further(wanted), *nodes.of_load(wanted), *nodes.load_steps(wanted)]
    assert nodes.host(wanted) == nodes.LOOPBACK


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cluster.nodes=3"], "cluster.nodes is 3, deployment.e has 8 experts"),
        (["cluster.nodes=0"], "cluster.nodes is 0"),
        (["cluster.load_nodes=2"], "cluster.load_node is false"),
        (["cluster.nodes=2", "hardware.gpus=3"], "needs 4 GPUs .*over 2 nodes.* has 3"),
    ],
)
def test_nodes_that_cannot_be_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster(*overrides)


def test_eight_experts_fit_two_nodes_of_four_gpus() -> None:
    assert cluster("cluster.nodes=2", "hardware.gpus=4")


def test_a_node_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("NO_PROXY", "localhost")

    nodes.reach_directly("n2")
    nodes.reach_directly("n2")

    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "localhost,n2"
