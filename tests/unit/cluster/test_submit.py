"""What is said of points that are there when a job is submitted once more."""

from collections.abc import Callable

from er.cluster.submit import say_what_is_measured_again, say_what_its_node_may_find
from er.config import Config
from er.results import names
from er.results.keys import run_key
from er.results.run_dir import RunDir
from er.study.job import corpus_digest, key_of


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


def test_points_of_an_engine_are_named_though_only_a_node_can_tell_whether_it_is_the_same(
    config: Config, finished_run: Callable[[Config], RunDir]
) -> None:
    config.engine.kind = "trtllm"
    config.load.concurrency = [1]
    run = finished_run(config)
    lines: list[str] = []

    for digest in ("", "digest", "of another engine"):
        key = run_key(config, "digest", corpus_digest(config))
        run.write(names.RECORD, {**run.read(names.RECORD), "key": key})
        run.write(names.ENGINE, {"engine_key": digest})
        say_what_its_node_may_find(config, lines.append)
    config.load.concurrency = [1, 2]  # the second point is invalid
    run.write(names.ENGINE, {"engine_key": "digest"})
    say_what_its_node_may_find(config, lines.append)

    [line] = lines
    assert line.startswith(f"{config.title}: {run.path} has all of it; where the node finds")
