"""A user's own options, from a folder outside the repository, and sweeps over them."""

from pathlib import Path

import pytest

from er.compose import Job, jobs_for, show
from er.errors import ConfigError
from er.options import parse_arguments
from er.run import COMMAND, answer

F = """# My row F.
defaults: [{/model: llama3_8b}, _self_]
id: f
precision: fp16
tp: 2
experts: 2
labels: {model: unknown, precision: unknown, tp: unknown, experts: unknown}
"""
MINE = """# @package _global_
# My experiment.
study: mine
figures: [fig4]
hydra: {mode: MULTIRUN, sweeper: {params: {deployment: "e,f"}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own" / "deployment").mkdir(parents=True)
    (tmp_path / "own" / "experiment").mkdir()
    (tmp_path / "own" / "deployment" / "f.yaml").write_text(F)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(MINE)
    return tmp_path / "own"


def jobs(*arguments: str) -> list[Job]:
    return jobs_for(parse_arguments(COMMAND, arguments))


def test_config_dir_adds_experiments_and_deployments(folder: Path) -> None:
    made = jobs(f"--config-dir={folder}", "+experiment=mine")
    assert [(job.config.study, job.config.deployment.id) for job in made] == [
        ("mine", "e"),
        ("mine", "f"),
    ]
    with pytest.raises(ConfigError, match="Could not find 'experiment/mine'"):
        jobs("+experiment=mine")


def test_hydra_searchpath_adds_options_too(folder: Path) -> None:
    [job] = jobs(f"hydra.searchpath=[{folder}]", "deployment=f")
    assert job.config.deployment.experts == 2


def test_another_primary_configuration_can_be_named(folder: Path) -> None:
    (folder / "quick.yaml").write_text("defaults: [config, _self_]\nseed: 7\n")
    [job] = jobs(f"--config-dir={folder}", "--config-name=quick")
    assert job.config.seed == 7
    (folder / "bare.yaml").write_text("seed: 7\n")
    with pytest.raises(ConfigError, match="has no schema: begin its defaults with - config"):
        jobs(f"--config-dir={folder}", "--config-name=bare")
    (folder / "self.yaml").write_text("defaults: [_self_]\nseed: 7\n")
    with pytest.raises(ConfigError, match=r"such as defaults: \[config, _self_\]$"):
        jobs(f"--config-dir={folder}", "--config-name=self", "routing.policy=random")


def test_a_glob_names_options_of_both_folders(folder: Path) -> None:
    made = jobs("-m", f"--config-dir={folder}", "deployment=glob(?)")
    assert [job.config.deployment.id for job in made] == list("abcdef")


def test_a_file_that_would_be_hidden_is_refused(folder: Path) -> None:
    (folder / "deployment" / "a.yaml").write_text(F)
    with pytest.raises(ConfigError, match=r"would be hidden by conf/deployment/a\.yaml"):
        jobs(f"--config-dir={folder}", "deployment=a")


def test_a_deployment_without_labels_is_refused_by_name(folder: Path) -> None:
    (folder / "deployment" / "g.yaml").write_text(F.rpartition("labels:")[0])
    with pytest.raises(ConfigError, match=r"^deployment\.labels has no value") as refused:
        jobs(f"--config-dir={folder}", "deployment=g")
    assert "\n" not in str(refused.value)


def test_each_experiment_keeps_its_own_sweep(folder: Path) -> None:
    made = jobs("-m", f"--config-dir={folder}", "+experiment=mine,fig4", "load=full")
    assert [job.config.deployment.id for job in made] == list("ef" + "abcde")
    assert {job.config.load.requests_per_user for job in made} == {5}
    with pytest.raises(ConfigError, match="names several values: add -m"):
        jobs(f"--config-dir={folder}", "+experiment=mine,fig4")


def test_an_interval_is_refused_without_a_sweeper_that_takes_it() -> None:
    with pytest.raises(ConfigError, match=r"^seed=interval\(0,9\) is an interval"):
        jobs("-m", "seed=interval(0,9)")


def test_hydra_shows_the_configuration_of_a_users_option(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["er.run"])
    show(parse_arguments(COMMAND, ["--config-dir", str(folder), "deployment=f", "--cfg", "job"]))
    assert "id: f" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["deployment=e", "routing.clusters=4"], "^routing.clusters is 4, deployment.e has 8 "),
        (
            ["engine.max_num_tokens=512"],
            "^engine.max_num_tokens is 512, and prompts of workload.laptop have up to 987 tokens",
        ),
        (["figures=[style]"], "^figures has style: choose from"),
    ],
)
def test_a_configuration_that_cannot_run_is_refused_before_anything_is_prepared(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=message):
        answer(overrides)
    assert capsys.readouterr().out == ""


def test_an_experiment_without_its_package_line_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# Mine.\n# @package _global_\nseed: 1\n")
    with pytest.raises(ConfigError, match="its first line must be # @package _global_"):
        jobs("+experiment=mine", f"--config-dir={tmp_path}")
