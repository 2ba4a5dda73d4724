"""What a partition has, from the text of sinfo, before anything is submitted."""

import pytest

from er.cluster import partition
from er.compose import plan
from er.errors import ConfigError

REAL = ["deployment=d", "engine=trtllm", "server=container", "cluster=slurm"]


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("gpu:h100:8", 8),
        ("gpu:h100:8(S:0-1),nvme:2", 8),
        ("gpu:a100:4(S:0),gpu:h100:2(S:1)", 6),
        ("gpu:4", 4),
        ("(null)", 0),
    ],
)
def test_gpus_of_a_node(gres: str, gpus: int) -> None:
    assert partition.gpus(gres) == gpus


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("infinite", float("inf")), ("1-00:00:00", 1440), ("30:00", 30), ("2:30:30", 150.5)],
)
def test_time_limits(limit: str, minutes: float) -> None:
    assert partition.minutes(limit) == minutes


def test_more_gpus_than_any_node_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        partition, "call", lambda *_: "small*|1:00:00|gpu:4\nsmall*|4:00:00|(null)\n"
    )
    [config] = plan(REAL)

    with pytest.raises(ConfigError, match=r"deployment\.d needs 8 GPUs .* small have up to 4"):
        partition.require_room(config)

    [whole_nodes] = plan([*REAL, "cluster.gpus_by=none"])
    partition.require_room(whole_nodes)
