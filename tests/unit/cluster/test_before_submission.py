"""What is said and refused before jobs are submitted; stand-ins take the place of Slurm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from er import build, compose, run
from er.cluster import dry, inputs
from er.cluster.script import Places, render
from er.cluster.submit import submit, submit_commands
from er.compose import Job, plan
from er.config import SlurmCluster
from er.errors import ConfigError

ENGINE = ["engine=trtllm", "server=container", "cluster=slurm", "deployment=e"]
SIMULATED = ["clock=virtual", "cluster=slurm", "deployment=a"]


def jobs(*overrides: str) -> list[Job]:
    return compose.jobs_of([*overrides, "tracking.enabled=false"])


def make_checkpoint(folder: Path) -> None:
    """One that is complete, of deployment E's model."""
    folder.mkdir(parents=True)
    model = plan(["deployment=e"])[0].deployment.model
    shape = {
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "hidden_size": model.heads * model.head_dim,
    }
    (folder / "config.json").write_text(json.dumps(shape))
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (folder / name).write_text("x")


@pytest.mark.parametrize("engine", ["trtllm", "llmapi"])
@pytest.mark.parametrize(
    "send",
    [
        lambda asked: submit(asked, print),
        lambda asked: submit_commands(asked, "build", "engine of", print),
    ],
    ids=["er.run", "er.build"],
)
def test_a_missing_checkpoint_is_refused(
    here: Path, engine: str, send: Callable[[list[Job]], None]
) -> None:
    asked = jobs(*ENGINE, f"engine={engine}")

    with pytest.raises(ConfigError, match=r"deployment\.e .* checkpoint .*llama3_8b .*is missing"):
        send(asked)

    assert not (here / "sent").exists()
    assert not list(here.glob("runs/*/jobs/*-*"))


def test_preflight_goes_out_to_say_all_that_is_missing(here: Path) -> None:
    submit_commands(jobs(*ENGINE), "preflight", "preflight for", print)

    assert "--parsable" in (here / "sent").read_text()


@pytest.mark.parametrize(("runtime", "suffix"), [("apptainer", "sif"), ("pyxis", "sqsh")])
def test_a_missing_image_is_refused(here: Path, runtime: str, suffix: str) -> None:
    make_checkpoint(here / "checkpoints" / "llama3_8b")
    image = here / f"triton.{suffix}"
    container = [f"engine.container.runtime={runtime}", f"engine.container.image={image}"]
    [config] = plan([*ENGINE, *container])

    with pytest.raises(ConfigError, match=rf"{image} is no file: run .* once"):
        inputs.require_there(config)

    image.write_text("x")
    inputs.require_there(config)


@pytest.mark.parametrize(
    "overrides",
    [
        ["engine.checkpoint=/of/the/nodes", "engine.container.runtime=docker"],
        [
            "engine.checkpoint=/of/the/nodes",
            "engine.container.runtime=apptainer",
            "engine.container.image=/of/the/nodes/triton.sif",
        ],
    ],
)
@pytest.mark.usefixtures("here")
def test_what_only_nodes_see_is_not_looked_for(overrides: list[str]) -> None:
    [config] = plan([*ENGINE, *overrides])

    inputs.require_there(config)


def test_the_ladder_and_the_workload_are_named(here: Path) -> None:
    lines: list[str] = []

    submit(jobs(*SIMULATED, "load=laptop", "workload=laptop"), lines.append)

    assert lines[0] == (
        "measures 1, 2, 4, 8 users (load=laptop), prompts of workload=laptop (MLPerf-like inputs; "
        "outputs shortened to 1/8)"
    )

    make_checkpoint(here / "checkpoints" / "llama3_8b")
    lines.clear()
    submit(jobs(*ENGINE), lines.append)
    assert "1, 2, 4, 8 users" in lines[0]
    assert lines[0].endswith("full size takes load=full workload=mlperf_like")

    lines.clear()
    submit(jobs(*ENGINE, "load=full", "workload=mlperf_like"), lines.append)
    [said] = [line for line in lines if line.startswith("measures")]
    assert "1000 users (load=full)" in said
    assert "takes" not in said


def test_what_sbatch_refuses_is_a_mistake_of_the_request(here: Path) -> None:
    (here / "refuses").write_text("sbatch: error: invalid account\n")

    with pytest.raises(ConfigError, match=r": sbatch refuses: .*invalid account"):
        submit(jobs(*SIMULATED), print)

    assert not list(here.glob("runs/*/jobs/*-*"))


def test_dry_says_what_each_script_is_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_checkpoint(here / "checkpoints" / "llama3_8b")

    assert run.answer([*ENGINE, "dry=true", f"cache_dir={here / 'cache'}"]) == 0

    shown = capsys.readouterr()
    heads = [line for line in shown.out.splitlines() if line.startswith("# One job")]
    assert [head.partition(": it ")[2] for head in heads] == [
        "builds the engine of deployment e.",
        "measures deployment e, after the job that builds its engine.",
    ]
    first, last = shown.err.splitlines()
    assert first.startswith("measures 1, 2, 4, 8 users")
    assert last == "only printed: without dry=true 2 jobs would be submitted"
    assert not (here / "sent").exists()


def test_dry_says_what_would_be_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry.show(jobs(*ENGINE, "cluster.time_limit_min=480"))

    said = capsys.readouterr().err
    assert "would be refused: cluster.time_limit_min is 480: gpu allows 240" in said
    assert "would be refused: deployment.e cannot be served: checkpoint" in said

    (here / "bin" / "sinfo").write_text("#!/bin/sh\necho 'no controller' >&2; exit 1\n")
    assert build.run_command(["deployment=e", "cluster=slurm", "action=preflight", "dry=true"]) == 0
    shown = capsys.readouterr()
    assert "it looks whether a node can build and serve deployment e." in shown.out
    assert "not checked: sinfo refuses: no controller" in shown.err
    assert shown.err.endswith("only printed: without dry=true 1 job would be submitted\n")


@pytest.mark.parametrize(
    ("overrides", "limits"),
    [
        ([], {"measure": 240, "build": 90, "preflight": 15}),
        (["cluster.time_limit_min=30"], {"measure": 30, "build": 30, "preflight": 15}),
        (
            ["cluster.preflight_time_limit_min=3", "cluster.build_time_limit_min=100"],
            {"measure": 240, "build": 100, "preflight": 3},
        ),
    ],
)
def test_builds_and_preflights_take_shorter(
    tmp_path: Path, overrides: list[str], limits: dict[str, int]
) -> None:
    [config] = plan([*ENGINE, *overrides])
    places = Places(tmp_path, tmp_path, tmp_path, tmp_path)

    for action, minutes in limits.items():
        lines = render(config, "er-x", places, [], action).splitlines()
        assert f"#SBATCH --time={minutes}" in lines
        [signal] = [line for line in lines if "--signal=B:TERM@" in line]
        assert 0 < int(signal.partition("@")[2]) < 60 * minutes


def test_an_interruption_says_that_submitted_jobs_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TERM comes while Slurm is asked for the second of two jobs."""
    sbatch = here / "bin" / "sbatch"
    again = f'[ -e {here}/once ] && kill -TERM "$PPID" && exec sleep 5\n'
    lines = sbatch.read_text().splitlines(keepends=True)
    parsable = f'case "$1" in --parsable) {again}touch {here}/once;; esac\n'
    sbatch.write_text("".join([lines[0], parsable, *lines[1:]]))
    both = ["er", "-m", "seed=0,1", *SIMULATED, "tracking.enabled=false"]
    monkeypatch.setattr("sys.argv", both)

    assert run.main() == 143

    shown = capsys.readouterr()
    assert shown.out.count("submitted ") == 1
    assert shown.err.endswith(
        "terminated: submitted jobs go on (python -m er.status single); the same command submits "
        "what is missing\n"
    )
    intents = list(here.glob("runs/single/jobs/*/*/intent.json"))
    assert len(intents) == 2  # Slurm may have the second: the same command looks for it


@pytest.mark.parametrize("line", ['module load "x', "if true; then"])
def test_a_setup_line_that_bash_cannot_read_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    [job] = jobs(*SIMULATED)
    assert isinstance(job.config.cluster, SlurmCluster)
    job.config.cluster.setup.append(line)

    with pytest.raises(ConfigError, match=r"cluster\.setup has .*, which bash cannot read: line"):
        submit([job], print)
    dry.show([job])

    assert not (here / "sent").exists()
    said = capsys.readouterr().err
    assert "would be refused: cluster.setup has" in said
    assert "nothing would be submitted, for the reasons above" in said


def test_without_room_only_one_script_is_shown_to_slurm(here: Path) -> None:
    """sbatch tries for as long as it may: that is not waited for once for each job."""
    (here / "refuses").write_text("sbatch: error: Slurm temporarily unable to accept job\n")

    submit(compose.jobs_of(["seed=0,1,2", *SIMULATED], multirun=True), print)

    calls = (here / "sent").read_text().splitlines()
    assert len([call for call in calls if "--test-only" in call]) == 1
    assert len([call for call in calls if "--parsable" in call]) == 1
