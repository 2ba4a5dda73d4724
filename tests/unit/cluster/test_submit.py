"""What is said of points that are there when a job is submitted once more."""

from collections.abc import Callable

from er.cluster.submit import say_what_is_measured_again
from er.config import Config
from er.results import names
from er.results.run_dir import RunDir
from er.study.job import key_of


def told(config: Config, run: RunDir) -> list[str]:
    lines: list[str] = []
    say_what_is_measured_again(config, run, lines.append)
    return lines


def test_invalid_points_are_measured_again_and_why(
    config: Config, finished_run: Callable[[Config], RunDir]
) -> None:
    config.load.concurrency = [1, 2]
    run = finished_run(config)
    run.write(names.RECORD, {**run.read(names.RECORD), "key": key_of(config)})
    reason = run.points()[1].invalid[0]

    assert told(config, run) == [
        f"{config.title}: measures again 1 invalid point: 2 users: {reason}"
    ]

    config.load.concurrency = [1]
    assert told(config, run) == []


def test_other_code_measures_all_of_it_anew(
    config: Config, finished_run: Callable[[Config], RunDir]
) -> None:
    run = finished_run(config)
    run.write(names.RECORD, {**run.read(names.RECORD), "key": "of other code"})

    assert told(config, run) == [
        f"{config.title}: all is measured anew, by other code or inputs than {run.path}"
    ]
