"""A run that takes points of another study is as if it had measured them itself."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from example_requests import answered
from rich.console import Console

from er import compose
from er.claims.statements import Claim, Relation
from er.claims.verdicts import decide
from er.config import ClockKind, Config
from er.results.point import measure
from er.results.run_dir import RunDir
from er.study import job
from er.study.progress import Progress
from er.tracking import query
from paper_figures import view

CLAIM = Claim(
    id="faster", figure="fig5", says="", label="project", reading="", quantity="tpot_s.p50",
    of=("a",), is_=Relation.below, than=("b",), factor=1, at=(1, 4), study="mine",
)  # fmt: skip


def predict(
    runs_dir: Path, cache_dir: Path, *overrides: str, deployments: str = "ab"
) -> tuple[list[RunDir], str]:
    """The published runs of deployments on the virtual clock, and what is printed."""
    fixed = [
        "clock=virtual", "load.requests_per_user=6", f"runs_dir={runs_dir}",
        f"cache_dir={cache_dir}", f"tracking.uri=sqlite:///{runs_dir}/mlflow.db",
    ]  # fmt: skip
    configs = [
        config
        for name in deployments
        for config in compose.plan([*fixed, f"deployment={name}", *overrides])
    ]
    printed = io.StringIO()
    sweep = job.Sweep(Progress(configs, Console(file=printed, width=500)))
    for config in configs:
        sweep.run(config)
    return sweep.runs, printed.getvalue()


def files_of(made: RunDir) -> dict[str, bytes]:
    """What figures and verdicts read of a run, its configuration apart."""
    paths = [made.path / "points.json", *sorted((made.path / "requests").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def test_the_same_command_shows_the_same_whatever_other_studies_have(
    tmp_path: Path, cache_dir: Path
) -> None:
    mine = ["study=mine", "load.concurrency=[1,4]"]
    empty, full = tmp_path / "empty", tmp_path / "full"
    alone, _ = predict(empty, cache_dir, *mine)
    predict(full, cache_dir, "study=another", "load.concurrency=[1,2,4,8]", deployments="a")
    predict(full, cache_dir, "study=ladder", "load.concurrency=[1,2,4]", deployments="b")
    taken, printed = predict(full, cache_dir, *mine)

    assert printed.count("1, 4 users taken from") == 2
    assert [files_of(one) for one in taken] == [files_of(one) for one in alone]
    verdicts, pictures = [], []
    for runs_dir in (empty, full):
        runs = query.shown(f"sqlite:///{runs_dir}/mlflow.db", "mine")
        assert [[p.concurrency for p in one.points] for one in runs] == [[1, 4], [1, 4]]
        [verdict] = decide([CLAIM], runs)
        verdicts.append((verdict.word, verdict.explanation))
        # A footer has ids, which are made of when a run began, and that time.
        fixed = {"started": "2026-11-26T12:00:00"}
        named = [replace(one, own_id=one.deployment * 32, **fixed) for one in runs]
        picture = view.draw_runs("fig4", named, runs_dir / "figures")
        pictures.append([file.read_bytes() for file in picture.files])
    assert verdicts[0] == verdicts[1]
    assert pictures[0] == pictures[1]


def finish(config: Config, users: list[int], monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Run a measured job whose points are made up, with their predictions."""

    def walk(config: Config, run: RunDir, _: Progress) -> None:
        for concurrency in users:
            requests = [answered(index, concurrency) for index in range(24)]
            run.keep_requests(concurrency, requests)
            run.keep_gpu_samples(concurrency, [{"gpu": 0, "at_s": 0.5}])
            point = replace(measure(requests, concurrency, config.load), invalid=[])
            run.add_point(point)
        run.write("predicted.json", run.read("points.json"))
        run.write("knee.json", {"max_concurrency": users[-1], "bounded_by": "another ladder"})

    monkeypatch.setitem(job.LADDERS, ClockKind.real, walk)
    config.tracking.enabled = False
    sweep = job.Sweep(Progress([config], Console(file=io.StringIO())))
    sweep.run(config)
    return sweep.runs[0]


def test_only_what_is_of_the_own_ladder_is_taken(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.load = replace(config.load, concurrency=[1, 2, 4])
    finish(config, [1, 2, 4], monkeypatch)
    own = replace(config, study="mine", load=replace(config.load, concurrency=[1, 4]))
    taken = finish(own, [], monkeypatch)
    for name in ("points.json", "predicted.json"):
        assert [entry["concurrency"] for entry in taken.read(name)] == [1, 4]
    for folder, ending in (("requests", "parquet"), ("gpus", "csv")):
        names = sorted(path.name for path in (taken.path / folder).iterdir())
        assert names == [f"c0001.{ending}", f"c0004.{ending}"]
    assert not taken.has("knee.json")  # no knee was looked for


def test_a_knee_is_that_of_the_own_ladder(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    load = replace(config.load, find_knee=True, ttft_at_most_s=1e9, tpot_at_most_s=1e9)
    config.load = replace(load, concurrency=[1, 2, 4])
    finish(config, [1, 2, 4], monkeypatch)
    own = replace(config, study="mine", load=replace(load, concurrency=[1, 2]))
    taken = finish(own, [], monkeypatch)
    assert taken.read("knee.json")["max_concurrency"] == 2
    assert [point.concurrency for point in taken.points()] == [1, 2]
