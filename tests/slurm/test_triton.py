"""Jobs with the real Triton and simulated engines, from the frozen code.

With root every node has a name, addresses, a loopback and a clock of its own: what is sent to
another's loopback goes astray, and a time that is not taken to one clock is off by minutes.
"""

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from slurm_user import User, command_line, networks_of, requests_under_way, until

from er import cancel
from er.cluster.base import State
from er.results.run_dir import RunDir

TWO_POINTS = ["load.requests_at_least=8", "load.requests_per_user=8", "load.gateway_probes=0"]
ONE_NODE = ["deployment=a", "load.concurrency=[1,2]"]
# Eight experts on two nodes, under load from two others.
FOUR_NODES = [
    "deployment=e",
    "load.concurrency=[2,4]",
    "cluster.nodes=2",
    "cluster.load_node=true",
    "cluster.load_nodes=2",
]


@pytest.mark.embedded
def test_a_job_measures_lets_requests_end_and_leaves_nothing_behind(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, job_id = cancelled_in_its_second_point(user, ONE_NODE, 2, monkeypatch)

    assert nodes_of_workers() == set()
    assert "load_node" not in run.read("provenance.json")
    [endpoint] = run.read("endpoints.json")
    assert urlsplit(endpoint["url"]).hostname == "127.0.0.1"
    assert user.site.states()[job_id] == "FAILED"


@pytest.mark.embedded
def test_eight_experts_over_two_nodes_under_load_from_two_others(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = networks_of(user)

    run, _ = cancelled_in_its_second_point(user, FOUR_NODES, 4, monkeypatch)

    point, _ = run.points()
    hosts = [urlsplit(endpoint["url"]).hostname for endpoint in run.read("endpoints.json")]
    assert hosts == ["127.0.0.1"] * 4 + ["n2"] * 4
    provenance = run.read("provenance.json")
    assert provenance["nodes"] == ["n1", "n2"]
    assert provenance["load_node"] == "n3,n4"
    assert point.client["server_succeeded"] >= 16  # of the servers of both nodes
    assert point.client["load_nodes"] == point.client["processes"] == 2
    for number, node in enumerate(("n3", "n4")):
        apart_s = networks.ahead_s("n1") - networks.ahead_s(node)
        offset_s = point.client[f"clock_{number}_offset_s"]
        assert abs(offset_s - apart_s) < point.client["clock_bound_s"] < 0.1
    assert 0 < point.duration_s < 60  # its requests are of one clock
    assert (run.path / "logs/n2/triton.log").exists()


def cancelled_in_its_second_point(
    user: User, overrides: list[str], users: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunDir, str]:
    """The run and the id of a job that is cancelled while requests are in flight: they end, and
    nothing of it is left."""
    user.run(*overrides, *TWO_POINTS)
    [one] = user.statuses()
    run = user.wait_for_points(limit_s=150)
    until(lambda: requests_under_way(run, users) > 2 or None, "measured request")
    sending = nodes_of_workers()
    [running] = user.statuses()
    assert sending == ({"n3", "n4"} if overrides is FOUR_NODES else {running.node})
    monkeypatch.setattr("sys.argv", ["er.cancel", "single"])
    cancel.main()

    user.site.wait(one.job_id, "FAILED")

    [ended] = user.statuses()
    assert ended.log
    first, partial = run.points()
    assert (first.requests, first.errors) == (4 * users, 0), ended.log.read_text()
    assert (ended.state, ended.detail) == (State.stopped, "cancelled")
    assert partial.errors == 0  # all that was sent has been answered
    assert any("interrupted after" in reason for reason in partial.invalid)
    assert 1 <= partial.requests < 8 * users
    here = str(Path.cwd())
    assert not [line for line in map(command_line, psutil.process_iter()) if here in line]
    return run, one.job_id


def nodes_of_workers() -> set[str]:
    """Where workers of the load generator are, of jobs that were submitted here."""
    found = set()
    for process in psutil.process_iter():
        line = command_line(process)
        try:
            if "er.load.worker" in line and "srun" not in line:
                variables = process.environ()
                if variables.get("SLURM_SUBMIT_DIR") == str(Path.cwd()):
                    found.add(variables.get("SLURMD_NODENAME", ""))
        except psutil.Error:
            continue
    return found - {""}
