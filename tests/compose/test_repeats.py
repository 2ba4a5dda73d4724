"""Repeats are jobs that differ only in the seed."""

from dataclasses import replace

import pytest

from er import compose
from er.errors import ConfigError
from er.results.keys import run_key, study_key


def test_each_repeat_has_the_next_seed() -> None:
    jobs = compose.jobs_of(["deployment=a,e", "seed=3", "repeats=3"], multirun=True)
    assert [(j.config.deployment.id, j.config.seed) for j in jobs] == [
        (name, seed) for name in "ae" for seed in (3, 4, 5)
    ]
    first, second = jobs[0].config, jobs[1].config
    assert second == replace(first, seed=4)
    assert jobs[1].overrides == (*jobs[0].overrides, "seed=4")
    assert run_key(first) != run_key(second)
    [alone] = compose.plan(["deployment=a", "seed=3"])
    assert (run_key(alone), study_key(alone)) == (run_key(first), study_key(first))


def test_zero_repeats_are_refused() -> None:
    with pytest.raises(ConfigError, match="repeats is 0"):
        compose.plan(["repeats=0"])
