"""A job that builds an engine, and the job that waits for it, with stand-ins for TensorRT-LLM.

The build's tools are tests/unit/engine/fake_trtllm.py; the engine is served by the wheel's Triton
with a stand-in for the C++ backend.
"""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from site_of_tests import Site
from slurm_user import User, command, put_sbatch

from er import build, cancel, collect, run, status
from er.cluster.base import State, Status
from er.errors import ErError
from tests.embedded.nodes import STANDINS, own_container

ROOT = Path(__file__).parents[2]
TOOL = Path(__file__).parents[1] / "unit" / "engine" / "fake_trtllm.py"
SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "parameters": 1000}
HF_CONFIG = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
}


def node(folder: Path, tritonserver: Path, variable: str = "") -> list[str]:
    """Overrides for a node that is its own container, and the tools on its path."""
    tools, checkpoint = folder / "bin", folder / "hf"
    tools.mkdir()
    checkpoint.mkdir()
    for name in ("trtllm-build", "nvidia-smi", "convert_checkpoint.py"):
        (tools / name).write_text(f"#!{sys.executable}\n{TOOL.read_text()}")
        (tools / name).chmod(0o755)
    (checkpoint / "config.json").write_text(json.dumps(HF_CONFIG))
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (checkpoint / name).write_text(name)
    setup = [
        f"export PATH={tools}:{Path(sys.executable).parent}:$PATH",
        f"export {variable} FAKE_TRTLLM_CALLS={folder / 'calls'}",
    ]
    return [
        "deployment=b",
        "deployment.tp=1",
        "deployment.experts=4",
        "routing.policy=random",
        *(f"deployment.model.{name}={value}" for name, value in SHAPE.items()),
        "deployment.model.embedding_parameters=100",
        "engine=trtllm",
        "server=container",
        "engine.container.runtime=bare",
        f"engine.checkpoint={checkpoint}",
        f"engine.convert_script={tools / 'convert_checkpoint.py'}",
        f"engine.tritonserver={tritonserver}",
        f"engine.model_code={STANDINS / 'models'}",
        "load.concurrency=[1]",
        "load.requests_at_least=8",
        f"cluster.setup={json.dumps(setup)}",
    ]


def both(user: User) -> tuple[Status, Status]:
    """The build and the job that measures, in order of submission."""
    build, measuring = sorted(user.statuses(), key=lambda one: int(one.job_id))
    return build, measuring


def own_cache(user: User, folder: Path) -> User:
    """Whose engines are none yet, and all else is there."""
    cache = folder / "cache"
    cache.mkdir()
    for path in user.cache_dir.iterdir():
        if path.name != "engines":
            (cache / path.name).symlink_to(path)
    return User(user.site, cache)


def note_gpus(tritonserver: Path, file: Path) -> None:
    """Have each server add its node and its CUDA_VISIBLE_DEVICES to a file."""
    shell, *rest = tritonserver.read_text().splitlines(keepends=True)
    note = f'echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES" >> {file}\n'
    tritonserver.write_text("".join([shell, note, *rest]))


# In the processes that ask NVML, a driver of the tests.
DRIVER = f"""
import sys
if {{"er.run", "er.load.other_nodes"}} & set(sys.orig_argv):
    sys.path.append({str(ROOT)!r})
    import pytest
    from tests.standins import nvml
    nvml.install(pytest.MonkeyPatch(), nvml.Driver(gpus=8))
"""


@pytest.mark.embedded
def test_a_job_measures_once_its_engine_is_built(user: User, tmp_path: Path) -> None:
    """With root over two nodes, of which each has two of the four experts."""
    nodes = ["n1", "n2"] if user.site.networks else ["n1"]
    each = 4 // len(nodes)
    user = own_cache(user, tmp_path)
    tritonserver = own_container(tmp_path)
    note_gpus(tritonserver, tmp_path / "gpus")
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "sitecustomize.py").write_text(DRIVER)
    overrides = node(tmp_path, tritonserver, f"PYTHONPATH={tmp_path / 'driver'}")

    user.run(*overrides, f"cluster.nodes={len(nodes)}")

    build, measuring = both(user)
    assert build.title.startswith("engine of")
    user.site.wait(measuring.job_id, "COMPLETED", "FAILED", limit_s=150)
    build, measuring = both(user)
    assert build.state is State.finished
    assert (tmp_path / "calls").read_text().split() == ["convert_checkpoint.py", "trtllm-build"]
    assert measuring.run, measuring.log and measuring.log.read_text()
    of_each_expert = {f"{name} {gpu}" for name in nodes for gpu in range(each)}
    assert sorted((tmp_path / "gpus").read_text().splitlines()) == sorted(of_each_expert)
    [point] = measuring.run.points()
    assert (point.requests, point.errors) == (8, 0), point.error_causes
    assert point.client["gpu_energy_j"] > 500 * 4 * point.duration_s  # of the GPUs of all nodes
    samples = pd.read_csv(measuring.run.path / "gpus" / "c0001.csv", keep_default_na=False)
    sampled = zip(samples.node, samples.gpu, strict=True)
    assert {f"{name or 'n1'} {gpu}" for name, gpu in sampled} == of_each_expert
    assert measuring.run.read("engine.json")["engine_dir"].startswith(str(tmp_path / "cache"))
    assert not list((tmp_path / "cache" / "engines" / ".building").iterdir())


def test_without_its_engine_a_deployment_is_not_measured(user: User, tmp_path: Path) -> None:
    user = own_cache(user, tmp_path)
    user.run(*node(tmp_path, tmp_path / "none", "FAKE_TRTLLM=fail"))

    build, measuring = both(user)
    user.site.wait(measuring.job_id, "CANCELLED")

    build, measuring = both(user)
    assert build.log
    assert (build.state, build.detail) == (State.failed, "exit code 1")
    assert "Unsupported architecture" in build.last_line()
    assert (measuring.state, measuring.detail) == (State.cancelled, "its engine was not built")


def test_a_build_alone_is_a_job(
    user: User, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = own_cache(user, tmp_path)
    overrides = [*node(tmp_path, tmp_path / "none"), f"cache_dir={user.cache_dir}", "cluster=slurm"]
    held = [*overrides, "cluster.sbatch=[--hold]"]

    assert build.run_command(held) == 0
    [first] = user.statuses()
    said = capsys.readouterr().out
    assert (
        f"submitted engine of {first.title.removeprefix('engine of ')}: job {first.job_id}" in said
    )
    assert first.log
    assert f"its log: {first.log.absolute()}" in said
    assert "python -m er.status single" in said

    assert build.run_command(held) == 0
    said = capsys.readouterr().out
    assert f"queued as job {first.job_id}" in said
    assert "nothing new is submitted" in said
    user.run(*held[:-2], "cluster.sbatch=[--hold]")  # waits for that build
    assert f", after job {first.job_id}" in capsys.readouterr().out
    assert len(user.statuses()) == 2

    assert command(monkeypatch, cancel.main, "single") == 0
    assert {one.state for one in user.statuses()} == {State.cancelled}

    assert build.run_command(overrides) == 0
    again = next(one for one in user.statuses() if one.title == first.title)
    user.site.wait(again.job_id, "COMPLETED", "FAILED")
    ended = next(one for one in user.statuses() if one.title == first.title)
    assert ended.state is State.finished
    assert ended.last_line().startswith("built: ")
    capsys.readouterr()
    assert command(monkeypatch, status.main, "single") == 0
    assert capsys.readouterr().out.count("finished") == 1


def test_a_build_alone_that_fails_is_submitted_anew(
    user: User, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = own_cache(user, tmp_path)
    overrides = node(tmp_path, tmp_path / "none", "FAKE_TRTLLM=fail")
    overrides += [f"cache_dir={user.cache_dir}", "cluster=slurm"]
    for _ in range(2):
        build.run_command(overrides)
        [one] = user.statuses()
        user.site.wait(one.job_id, "FAILED")
        [ended] = user.statuses()
        assert (ended.state, ended.detail) == (State.failed, "exit code 1")
        assert "Unsupported architecture" in ended.last_line()

    assert len(list(Path("runs").glob("single/jobs/build-*/*/receipt.json"))) == 2
    capsys.readouterr()
    assert command(monkeypatch, collect.main, "single") == 1
    assert "Unsupported architecture" in capsys.readouterr().out
    assert not Path("runs/mlflow.db").exists()  # nothing was measured


def test_a_look_at_a_node_is_no_build(
    user: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user = own_cache(user, tmp_path)
    held = [*node(tmp_path, tmp_path / "none"), "cluster.sbatch=[--hold]"]
    places = [f"cache_dir={user.cache_dir}", "cluster=slurm"]
    build.run_command(["action=preflight", *held, *places])
    [preflight] = user.statuses()
    assert preflight.title.startswith("preflight for ")

    user.run(*held)

    built = next(one for one in user.statuses() if one.title.startswith("engine of "))
    assert f", after job {built.job_id}" in capsys.readouterr().out


@pytest.mark.parametrize("refused", ["er.build", "er.run"])
def test_nothing_is_sent_when_one_of_the_scripts_is_refused(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The build that a job waits for is looked at too, before anything is submitted."""
    user = own_cache(user, tmp_path)
    put_sbatch(tmp_path / "site", REFUSES.format(note=tmp_path / "note", what=refused), monkeypatch)
    before = user.site.states()

    with pytest.raises(ErError, match=r"sbatch refuses: .* Requested node configuration"):
        user.run(*node(tmp_path, tmp_path / "none"))

    assert not [line for line in (tmp_path / "note").read_text().splitlines() if "only" not in line]
    assert user.site.states() == before
    assert not list(Path("runs").glob("single/jobs/*-*"))


REFUSES = """
echo "$@" >> {note}
case "$*" in *--test-only*) ! grep -q {what} "$2" || {{
  echo 'allocation failure: Requested node configuration is not available' >&2; exit 1; }} ;; esac
exec /usr/bin/sbatch "$@"
"""


def test_dry_shows_the_build_that_a_job_waits_for(
    cache_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    user = own_cache(User(Site(tmp_path), cache_dir), tmp_path)
    overrides = [*node(tmp_path, tmp_path / "none"), f"cache_dir={user.cache_dir}", "cluster=slurm"]

    assert build.run_command([*overrides, "dry=true"]) == 0
    [of_build] = [line for line in capsys.readouterr().out.splitlines() if " -m er.build " in line]
    assert " action=build &" in of_build
    assert run.answer([*overrides, "dry=true"]) == 0
    text = capsys.readouterr().out
    assert text.count("#SBATCH --job-name=") == 2
    assert text.index(" -m er.build ") < text.index(" -m er.run ")
    assert not Path("runs").exists()
