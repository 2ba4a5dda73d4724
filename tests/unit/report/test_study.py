"""What a study ends with is made once, and is in MLflow too."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from er import compose
from er.config import Config
from er.errors import ErError
from er.report.study import Study, finish
from er.results.command_id import new_id
from er.results.run_dir import RunDir, id_of
from er.tracking import claims, query
from er.tracking.publish import publish
from er.tracking.store import open_store


def test_figures_and_report_are_artifacts_of_a_run_of_the_studys_own(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    uri, runs_dir = config.tracking.uri, Path(config.runs_dir)
    measured = publish(finished_run(config), uri)
    said: list[str] = []
    finish(Study("ladder", uri, runs_dir, ["fig4", "table1"], [1, 2]), said.append)
    told = "\n".join(said)
    assert told.count("fig4 NOT DECIDABLE: ") == 4
    assert "fig5" not in told  # it was not asked for
    assert "  No run of B, C, D. Would be decided by runs of B, C, D." in said
    assert "of 11 claims stated about the study: 11 not decidable (python -m er.claims)" in said
    client = open_store(uri)
    experiment = client.get_experiment_by_name("ladder")
    [own] = client.search_runs([experiment.experiment_id], "tags.`er.views_of` = 'measured'")
    names = {Path(entry.path).name for entry in client.list_artifacts(own.info.run_id, "figures")}
    assert names == {"fig4.png", "fig4.pdf", "fig4.svg", "table1.md", "report-ladder.html"}
    assert "| fig4 baselines-below-d | not decidable |" in own.data.tags["mlflow.note.content"]
    assert own.info.status == "FINISHED"
    assert own.info.run_name in experiment_note(client, "ladder")
    assert not own.data.metrics
    assert [run.run_id for run in query.shown(uri, "ladder")] == [measured]

    assert "claims.json" in [entry.path for entry in client.list_artifacts(measured)]
    metrics = client.get_run(measured).data.metrics
    assert not [name for name in metrics if name.startswith("verdicts/")]  # all are undecided

    decided = {"holds": 1.0, "fails": 0.0}
    entries = [
        {"claim": {"figure": "fig4", "id": outcome}, "outcome": outcome}
        for outcome in (*decided, "open")
    ]
    claims.log(uri, 1000, {measured: entries})
    logged = client.get_run(measured).data.metrics
    assert {name: logged[name] for name in logged if name.startswith("verdicts/")} == {
        f"verdicts/fig4 {outcome}": value for outcome, value in decided.items()
    }

    again: list[str] = []
    finish(Study("ladder", uri, runs_dir, ["fig4", "table1"], [1, 2]), again.append)
    assert sum("there already" in line for line in again) == 3
    assert [line for line in again if "there already" not in line] == [
        line for line in said if not line.startswith(("figure: ", "report: "))
    ]
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_what_an_earlier_command_had_is_named_with_how_to_show_it(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    uri, runs_dir = config.tracking.uri, Path(config.runs_dir)
    made: dict[str, str] = {}

    def command(*names: str, ladder: tuple[int, ...] = (1, 2)) -> list[str]:
        """What a command says at its end; it takes from disk what another one measured."""
        sweep = new_id()
        for name in names:
            folder = runs_dir / "ladder" / name
            if not folder.exists():
                fixed = ["study=ladder", f"runs_dir={runs_dir}"]
                assert finished_run(compose.plan([*fixed, f"deployment={name}"])[0]).path == folder
            run = RunDir(folder)
            run.relabel(run.read("run.json")["tags"] | {"er.sweep": sweep})
            publish(run, uri)
            made[name] = id_of(run.read("run.json"))[:8]
        said: list[str] = []
        finish(Study("ladder", uri, runs_dir, ["fig6"], ladder), said.append)
        return said

    def picture() -> bytes:
        return (runs_dir / "figures" / "fig6.png").read_bytes()

    assert not [line for line in command("a", "b", "c") if "not shown" in line]
    before = picture()
    said = command("a", "d")
    [place] = [index for index, line in enumerate(said) if line.startswith("not shown: B, C of ")]
    runs = ",".join(made[name] for name in "adbc")
    assert said[place + 1] == f"  python -m er.report ladder runs={runs} uri={uri}"
    assert picture() != before
    said = command("a", "b", "c")
    assert [line for line in said if line.startswith("not shown: D of ")]
    assert not [line for line in said if line.startswith("shown too")]
    assert picture() == before
    said = command("a", "b", "c", ladder=(1, 4))
    assert [line for line in said if line.startswith("shown too: 2 users, which earlier commands")]
    assert picture() == before


def experiment_note(client: MlflowClient, study: str) -> str:
    """What MLflow's list of experiments says of a study."""
    return str(client.get_experiment_by_name(study).tags["mlflow.note.content"])


def test_a_study_without_runs_is_refused(config: Config) -> None:
    open_store(config.tracking.uri)
    with pytest.raises(ErError, match="no finished run of study mine"):
        finish(Study("mine", config.tracking.uri, Path(config.runs_dir), ["fig4"], [1, 2]), print)
