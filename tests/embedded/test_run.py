"""The main job through a real Triton: what it leaves behind, and what it does not."""

import io
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from mlflow.tracking import MlflowClient
from processes import processes_naming

from er.run import answer
from er.tracking.query import shown
from paper_figures import view

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parent.parent.parent
SMALL = ["load.requests_per_user=2", "load.requests_at_least=4", "load.gateway_probes=4"]


# The worst that paths may have: Triton hands that of a run to a shell.
RUNS = "a=b,c+d:e~f@-" + 100 * "x"
CACHE = 'it\'s a "cache" $HOME & #1; %41 ? * \n é'


def arguments(runs_dir: Path, *overrides: str) -> list[str]:
    return ["+experiment=fig4", f"runs_dir={quoted(runs_dir)}", *overrides]


def quoted(path: Path) -> str:
    """A path as Hydra reads it."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def assert_nothing_left(runs_dir: Path) -> None:
    assert processes_naming(str(runs_dir)) == []
    for log in runs_dir.rglob("triton.log"):
        for prefix in re.findall(r"er_[0-9a-f]{12}_", log.read_text()):
            assert list(Path("/dev/shm").glob(f"{prefix}*")) == []


@dataclass
class Done:
    """A sweep that has ended."""

    runs_dir: Path
    output: str

    @property
    def runs(self) -> list[Path]:
        return sorted((self.runs_dir / "ladder").iterdir(), key=lambda run: run.name.split("-")[0])

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.runs_dir}/mlflow.db"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Deployments A and E at 1 and 2 users."""
    folder = tmp_path_factory.mktemp("sweep")
    runs_dir, cache = folder / RUNS, folder / CACHE
    cache.symlink_to(ROOT / ".cache")
    ladder = ["deployment=a,e", "load.concurrency=[1,2]", f"cache_dir={quoted(cache)}"]
    settings = arguments(runs_dir, *ladder, *SMALL)
    with redirect_stdout(io.StringIO()) as output:
        assert answer(settings) == 0, output.getvalue()
    assert_nothing_left(runs_dir)
    return Done(runs_dir, output.getvalue())


def test_the_output_shows_progress_and_where_results_are(sweep: Done) -> None:
    assert "[1/2] Llama 3 70B INT8, TP=4: starting Triton with 1 model\n" in sweep.output
    assert "8 x Llama 3 8B FP16, TP=1: starting Triton with 8 models" in sweep.output
    assert sweep.output.count("starting Triton") == 2  # once for the whole ladder
    assert "engine: simulated" in sweep.output
    assert re.search(r"^E: the gateway adds -?\d+\.\d ms .*median of 4 pairs", sweep.output, re.M)
    assert f"figure: {sweep.runs_dir}/figures/fig4.png" in sweep.output
    assert f"mlflow ui --backend-store-uri {shlex.quote(sweep.uri)}" in sweep.output


def test_every_request_is_on_disk(sweep: Done) -> None:
    for run in sweep.runs:
        assert sorted(path.name for path in (run / "requests").iterdir()) == [
            "c0001.parquet",
            "c0002.parquet",
        ]
        requests = pd.read_parquet(run / "requests" / "c0002.parquet")
        measured = requests[~requests["warmup"] & ~requests["cooldown"]]
        assert len(measured) == 4
        assert requests["warmup"].sum() == 2
        assert measured["ok"].all()
        assert (measured["output_tokens"] == measured["max_tokens"]).all()
        assert (measured["ttft_s"] < measured["e2e_s"]).all()
        assert (measured["token_times_s"].map(len) == measured["output_tokens"]).all()
        assert json.loads((run / "run.json").read_text())["status"] == "finished"
        assert json.loads((run / "config.json").read_text())["seed"] == 0
        assert json.loads((run / "provenance.json").read_text())["packages"]["nvidia-pytriton"]


def test_prompts_are_the_same_for_every_deployment(sweep: Done) -> None:
    def sent(run: Path) -> list[tuple[int, int, str]]:
        requests = pd.read_parquet(run / "requests" / "c0001.parquet")
        return list(requests[["input_tokens", "max_tokens", "topic"]].itertuples(index=False))

    first, second = map(sent, sweep.runs)
    assert first == second


def test_the_gateway_spreads_prompts_over_experts(sweep: Done) -> None:
    baseline, routed = (
        pd.concat(map(pd.read_parquet, (run / "requests").iterdir())) for run in sweep.runs
    )
    assert set(baseline["expert"]) == {-1}
    assert set(routed["expert"]) <= set(range(8))
    assert routed["expert"].nunique() > 1


def test_mlflow_has_a_comparable_run_for_each_deployment(sweep: Done) -> None:
    client = MlflowClient(tracking_uri=sweep.uri)
    experiment = client.get_experiment_by_name("ladder")
    found = client.search_runs([experiment.experiment_id])
    runs = [run for run in found if "er.views_of" not in run.data.tags]
    assert len(found) == len(runs) + 1  # the study's figures
    assert {run.data.tags["er.deployment"] for run in runs} == {"a", "e"}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["er.engine_kind"] == "simulated"
        assert run.data.tags["er.clock"] == "real"
        assert run.data.params["deployment.tp"] == (
            "4" if run.data.params["deployment.id"] == "a" else "1"
        )
        assert [m.step for m in client.get_metric_history(run.info.run_id, "validity/valid")] == [
            1,
            2,
        ]
    assert len({run.data.tags["er.study_key"] for run in runs}) == 1


def test_the_figure_is_drawn_again_from_mlflow_alone(sweep: Done, tmp_path: Path) -> None:
    assert [run.deployment for run in shown(sweep.uri, "ladder")] == ["a", "e"]
    png, pdf, svg = view.draw("fig4", sweep.uri, "ladder", tmp_path).files
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"<svg" in svg.read_bytes()


# Answers of nearly two seconds: a point lasts for two of them, and the first one's end is seen.
SLOW = [
    "load.warmup_requests_per_user=0",
    "load.requests_per_user=3",
    "load.requests_at_least=3",
    "load.max_loop_lag_s=1",
    "load.max_token_lateness=1",
    "workload.output.scale=3",
]
# A gateway without a router to train, before few models to load: `sweep` has all of E.
TWO_EXPERTS = ["deployment=e", "deployment.experts=2", "routing.policy=round_robin"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a long run and returns when requests of its second point arrive."""
    started = []

    def begin(*overrides: str) -> "subprocess.Popen[str]":
        settings = ["load.concurrency=[1,2]", *SLOW, *overrides]
        run = subprocess.Popen(
            [sys.executable, "-m", "er.run", *arguments(tmp_path, *settings)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(run)
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size for path in tmp_path.rglob("c0002.jsonl")):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return run

    yield begin
    for run in started:
        if run.poll() is None:
            run.kill()
        run.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_what_was_measured(
    start: Callable[..., "subprocess.Popen[str]"],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    run = start("deployment=a")
    run.send_signal(number)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == code, output + errors
    assert "what was measured is kept" in errors
    assert "Traceback" not in errors
    [folder] = (tmp_path / "ladder").iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    whole, partial = json.loads((folder / "points.json").read_text())
    assert not [doubt for doubt in whole["invalid"] if "interrupted" in doubt]
    assert any("interrupted after" in doubt for doubt in partial["invalid"])
    assert len(pd.read_parquet(folder / "requests" / "c0002.parquet")) > 0
    assert_nothing_left(tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    [published] = client.search_runs([client.get_experiment_by_name("ladder").experiment_id])
    assert published.info.status == "KILLED"


def test_a_killed_run_leaves_no_process_and_loses_no_request(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    run = start(*TWO_EXPERTS, "tracking.enabled=false")
    run.kill()
    run.communicate()
    deadline = time.monotonic() + 60
    while processes_naming(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert_nothing_left(tmp_path)
    [lines] = tmp_path.rglob("c0002.jsonl")
    assert json.loads(lines.read_text().splitlines()[0])["status"] == 200
    [folder] = (tmp_path / "ladder").iterdir()
    first = (folder / "requests" / "c0001.parquet").read_bytes()

    lines.unlink()
    again = start(*TWO_EXPERTS, "tracking.enabled=false")
    again.kill()
    again.communicate()
    settings = [*TWO_EXPERTS, "load.concurrency=[1,2]", *SLOW, "tracking.enabled=false"]
    command = [sys.executable, "-m", "er.run", *arguments(tmp_path, *settings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 user taken from" in done.stdout
    assert (folder / "requests" / "c0001.parquet").read_bytes() == first
    points = json.loads((folder / "points.json").read_text())
    assert [point["concurrency"] for point in points] == [1, 2]
    assert len(list((folder / "set_aside").iterdir())) == 1
    assert_nothing_left(tmp_path)


def test_a_model_that_dies_makes_its_point_invalid_and_the_run_fail(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    run = start("deployment=a", "load.request_timeout_s=3", "tracking.enabled=false")
    triton = [p for p in processes_naming(str(tmp_path)) if "tritonserver" in p.name()]
    [stub] = [p for p in triton[0].children() if "stub" in p.name()]
    stub.kill()
    psutil.wait_procs([stub], timeout=60)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 1, output + errors
    assert "model ensemble does not infer" in errors
    [folder] = (tmp_path / "ladder").iterdir()
    first, second = json.loads((folder / "points.json").read_text())
    assert not any("does not infer" in reason for reason in first["invalid"])
    assert any("after this point model ensemble does not infer" in r for r in second["invalid"])
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert_nothing_left(tmp_path)


def test_a_gateway_that_dies_makes_its_point_invalid_and_the_run_fail(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    run = start(*TWO_EXPERTS, "load.request_timeout_s=3", "tracking.enabled=false")
    command = ["-m", "er.gateway.process"]
    [gateway] = [p for p in processes_naming(str(tmp_path)) if p.cmdline()[1:3] == command]
    gateway.kill()
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 1, output + errors
    assert "the gateway died: " in errors
    assert "nan" not in output
    [folder] = (tmp_path / "ladder").iterdir()
    _, second = json.loads((folder / "points.json").read_text())
    assert any("after this point the gateway died" in reason for reason in second["invalid"])
    assert_nothing_left(tmp_path)
