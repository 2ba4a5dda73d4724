"""Jobs on several nodes, each with a name, addresses and a loopback of its own (root only)."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from networks import Networks
from slurm_user import User, command_line

from er.cluster.base import State

SERVING, SENDING = ["n1", "n2"], ["n3", "n4"]
ON_FOUR = ["cluster.nodes=2", "cluster.load_node=true", "cluster.load_nodes=2"]


@pytest.fixture
def networks(user: User) -> Networks:
    """They need a network for each node: a server on another node's loopback is not there."""
    if not user.site.networks:
        if os.environ.get("CI") and os.getuid() == 0:
            pytest.fail("no network namespaces can be made here: install iproute2")
        pytest.skip("only root can make network namespaces")
    return user.site.networks


@pytest.mark.embedded
def test_eight_experts_over_two_nodes_under_load_from_two_others(
    user: User, networks: Networks
) -> None:
    # Validity is not looked at: the tests' machine has too few cores for four nodes.
    small = ["deployment=e", "load.concurrency=[4]", "load.requests_at_least=16"]
    user.run(*small, *ON_FOUR, "load.gateway_probes=0")
    [one] = user.statuses()

    user.site.wait(one.job_id, "COMPLETED", "FAILED", limit_s=150)

    [ended] = user.statuses()
    assert ended.log
    assert "no point is valid" in ended.log.read_text() or ended.state is State.finished
    run = ended.run
    assert run
    hosts = [urlsplit(endpoint["url"]).hostname for endpoint in run.read("endpoints.json")]
    assert hosts == ["127.0.0.1"] * 4 + ["n2"] * 4
    provenance = run.read("provenance.json")
    assert provenance["nodes"] == SERVING
    assert provenance["load_node"] == ",".join(SENDING)
    [point] = run.points()
    assert (point.requests, point.errors) == (16, 0), point.error_causes
    assert point.client["server_succeeded"] >= 16  # of the servers of both nodes
    assert point.client["load_nodes"] == point.client["processes"] == 2
    apart = [networks.ahead_s(node) for node in ("n1", *SENDING)]
    for number, there_s in enumerate(apart[1:]):
        offset_s = point.client[f"clock_{number}_offset_s"]
        assert abs(offset_s - (apart[0] - there_s)) < point.client["clock_bound_s"] < 0.1
    left = [line for line in map(command_line, psutil.process_iter()) if str(Path.cwd()) in line]
    assert not left
