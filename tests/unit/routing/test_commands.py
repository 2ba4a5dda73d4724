"""The command lines, from training to recalibration."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from tiny_corpus import WORDS, sentence

from er.compose import plan
from er.routing.cached import router_for
from er.routing.router import Router, load, save


def run(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: object) -> int:
    """Run `python -m er.routing.COMMAND` in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", [command, *map(str, arguments)])
    module = f"er.routing.{command}"
    monkeypatch.delitem(sys.modules, module, raising=False)  # runpy warns of a loaded one
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def path(router: Router, tmp_path: Path) -> Path:
    save(router, tmp_path / "router.npz")
    return tmp_path / "router.npz"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A file of labelled prompts, most of them of one topic."""
    lines = [{"text": sentence("law", n), "label": "law"} for n in range(100)]
    lines += [{"text": sentence(topic, n), "label": topic} for topic in WORDS for n in range(10)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "prompts.jsonl"


def test_train_from_a_file_publishes_and_is_reproducible(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    prompts: Path,
) -> None:
    options = ["routing=balanced", "routing.clusters=3", "routing.components=5", "corpus=jsonl"]
    options += [
        f"corpus.path={prompts}",
        f"runs_dir={tmp_path}/runs",
        f"cache_dir={tmp_path}/cache",
    ]
    assert run(monkeypatch, "train", *options) == 0
    assert "load, max over mean: " in capsys.readouterr().out
    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    [published] = client.search_runs([client.get_experiment_by_name("routers").experiment_id])
    assert published.info.status == "FINISHED"
    assert published.data.params["routing.clusters"] == "3"
    (path,) = (tmp_path / "cache" / "routers").iterdir()
    made = path.read_bytes()
    path.unlink()
    [job] = plan(["deployment=d", *options])
    router_for(job.routing, job.corpus, 3, job.seed, tmp_path / "cache")
    assert path.read_bytes() == made
    pictures = {file.stem for file in (tmp_path / "runs" / "routers").glob("*/*.png")}
    assert pictures == {"load", "load_over_time", "map", "topics"}


def test_train_refuses_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "train", "routing.cluster=8") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_classify_prints_expert_scores_margin_and_terms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path, router: Router
) -> None:
    assert run(monkeypatch, "classify", path, "The oven melts butter.") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"expert {router.classify('The oven melts butter.')}"
    assert sum(line.endswith(" <") for line in lines) == 1
    assert {"oven", "butter"} < {line.split()[-1] for line in lines if line}


def test_evaluate_prints_and_writes_the_report(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: Path,
    prompts: Path,
    tmp_path: Path,
) -> None:
    assert (
        run(monkeypatch, "evaluate", path, "--corpus", prompts, "--report", tmp_path / "report")
        == 0
    )
    said = capsys.readouterr().out
    assert "130 prompts, 3 experts" in said
    assert "NMI 1.000, purity 1.000" in said
    measured = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert sorted(measured["load"]) == [10, 10, 110]
    assert (tmp_path / "report" / "map.png").stat().st_size > 10_000


def test_evaluate_without_a_file_needs_a_router_that_knows_its_corpus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    assert run(monkeypatch, "evaluate", path) == 1
    assert "give --corpus FILE.jsonl" in capsys.readouterr().err


def test_recalibrate_writes_a_router_with_an_even_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path, prompts: Path
) -> None:
    assert run(monkeypatch, "recalibrate", path, prompts) == 0
    said = capsys.readouterr().out
    assert "on 130 prompts: 2.54 before, 1.04 after" in said
    fitted = load(path.with_name("router-recalibrated.npz"))
    assert fitted.metadata["recalibrated_on"]["prompts"] == 130


@pytest.mark.parametrize("command", ["classify", "evaluate", "recalibrate"])
def test_a_missing_router_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    more = {"classify": ["Hello"], "evaluate": [], "recalibrate": ["traffic.jsonl"]}[command]
    assert run(monkeypatch, command, tmp_path / "absent.npz", *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no router at" in line


def test_a_report_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path, prompts: Path
) -> None:
    assert (
        run(monkeypatch, "evaluate", path, "--corpus", prompts, "--report", prompts / "report") == 1
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"er.routing.evaluate: cannot use {prompts}")
