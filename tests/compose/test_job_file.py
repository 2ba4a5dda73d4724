"""A job file holds everything that another machine needs to run the job."""

from pathlib import Path

import pytest

from er import compose
from er.errors import ConfigError

REQUESTS = [
    ["deployment=e", "clock=virtual", "+clock.failures=[{expert: 3, at_s: 10}]"],
    ["deployment=a", "engine=trtllm", "server=container"],
    ["deployment=b", "engine=llmapi_bf16", "server=container"],
    ["+experiment=smollm2"],
    ["workload=multi_turn", "load.requests_per_user=12"],
    ["load=constant"],  # whose burstiness is infinite
]


@pytest.mark.parametrize("overrides", REQUESTS, ids=lambda request: request[0])
def test_a_job_file_is_read_as_it_was_written(overrides: list[str], tmp_path: Path) -> None:
    [job] = compose.jobs_of(overrides)
    job.write(tmp_path / "job.json")

    assert compose.read_job(tmp_path / "job.json") == job


def test_the_job_file_of_a_capacity_search_is_read_as_it_was_written(tmp_path: Path) -> None:
    for job in compose.jobs_of(["+experiment=capacity"]):
        job.write(tmp_path / "job.json")
        assert compose.read_job(tmp_path / "job.json") == job


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a job that er wrote"),
        ('{"overrides": [], "config": {"engine": {"kind": "none"}}}', "is not a job"),
        ("[1]", "is not a job"),
    ],
)
def test_a_file_that_is_not_a_job_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(text)

    with pytest.raises(ConfigError, match=message):
        compose.read_job(tmp_path / "job.json")


def test_a_broken_rule_is_named(tmp_path: Path) -> None:
    [job] = compose.jobs_of(["deployment=a"])
    job.config.deployment.tp = 3
    job.write(tmp_path / "job.json")

    with pytest.raises(ConfigError, match="tp is 3"):
        compose.read_job(tmp_path / "job.json")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        compose.read_job(Path("none.json"))
