"""How many users a deployment carries."""

from dataclasses import replace

import numpy as np
import pytest

from er.capacity import Row, table
from er.errors import ConfigError
from er.points import Summary
from er.simulation.capacity import Capacity, Promise, largest, most_users, point_at
from er.simulation.deployment import VirtualDeployment


@pytest.fixture
def deployment(spec_for):
    return VirtualDeployment(spec_for("llama3_8b/fp16/tp1"), 2)


@pytest.fixture
def pool(deployment):
    random = np.random.default_rng(0)
    lengths = random.integers(100, 300, 500), random.integers(20, 100, 500)
    return deployment.prompts(*lengths, np.arange(500) % 2)


def test_the_search_stops_just_before_the_promise_breaks(deployment, pool):
    template = point_at(deployment, pool, 1)

    def point_of(users):
        return replace(template, ttft_s=Summary(1, p95=users / 1000), tpot_s=Summary(1, p95=0.0))

    found = largest(point_of, Promise(ttft_p95_s=0.777, tpot_p95_s=1))
    assert 777 * 0.99 <= found.users <= 777
    assert found.point.ttft_s.p95 == found.users / 1000
    assert largest(point_of, Promise(0.0005, 1)) == Capacity(0, None)
    assert largest(point_of, Promise(0.002, 1)).users == 2


def test_a_looser_promise_carries_more_users(deployment, pool):
    tight, loose = (most_users(deployment, pool, Promise(2, tpot)) for tpot in (0.008, 0.01))
    assert 0 < tight.users < loose.users
    assert tight.point.tpot_s.p95 <= 0.008
    assert point_at(deployment, pool, 2 * tight.users).tpot_s.p95 > 0.008


def test_gpus_come_in_whole_copies_of_the_deployment():
    capacity = Capacity(100, None)
    assert [capacity.gpus_for(users, 8) for users in (1, 100, 101, 10_000_000)] == [
        8,
        8,
        16,
        800_000,
    ]
    assert Capacity(0, None).gpus_for(1, 8) is None


def test_the_table_tells_what_does_not_fit_from_what_is_too_slow(deployment, pool):
    about = ("d", "a description", "h100_sxm", 8)
    rows = [
        Row(*about, Capacity(0, None), "does not fit: ..."),
        Row(*about, Capacity(0, None), ""),
        Row(*about, Capacity(80, point_at(deployment, pool, 4)), ""),
    ]
    lines = table(rows, [1000])
    assert len({line.count("|") for line in lines}) == 1
    assert "does not fit" in lines[2]
    assert "breaks the promise with one user" in lines[3]
    assert "| 80 | 10.0 |" in lines[4]
    assert lines[4].endswith("| 104 |")


def test_a_promise_must_be_above_zero():
    with pytest.raises(ConfigError, match="ttft_p95_s is 0: give a limit above 0"):
        Promise(0, 1)
