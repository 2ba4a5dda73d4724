"""The site files and the commands of docs/slurm.md, as someone types them who follows the page."""

import re
import shlex
from pathlib import Path

import pytest

from er import compose
from er.config import SlurmCluster
from er.config.trtllm import Runtime, TrtllmEngine

PAGE = (Path(__file__).parents[3] / "docs" / "slurm.md").read_text()
BLOCKS = [
    [line.removeprefix("   ") for line in block.splitlines()]
    for block in re.findall(r"^   ```\n(.*?)^   ```", PAGE, re.DOTALL | re.MULTILINE)
]
COMMANDS = [
    shlex.split(line, comments=True)
    for block in BLOCKS
    for line in block
    if line.startswith(("python -m er.run", "python -m er.build"))
]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, below the working directory."""
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS:
        if block[0].startswith("# mine/"):
            file = Path(block[0].removeprefix("# "))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(block[1:]) + "\n")
    return tmp_path / "mine"


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_a_command_of_the_page_composes(command: list[str], site: Path) -> None:
    words = [word for word in command[5:] if not word.startswith(("dry=", "action="))]
    assert command[3:5] == ["--config-dir", "mine"]

    [job, *_] = compose.jobs_of(words, multirun=True, config_dir=site)

    assert isinstance(job.config.cluster, SlurmCluster)
    assert "module load apptainer" in job.config.cluster.setup
    real = isinstance(job.config.engine, TrtllmEngine)
    assert real == any("engines" in word for word in words)
    if isinstance(job.config.engine, TrtllmEngine):
        assert job.config.engine.container.runtime is Runtime.apptainer


def test_the_page_submits_the_study_at_its_full_size(site: Path) -> None:
    [command] = [
        one for one in COMMANDS if "+experiment=fig4" in one and "+site=mycluster_engines" in one
    ]

    jobs = compose.jobs_of(command[5:], config_dir=site)

    assert {job.config.deployment.id for job in jobs} == set("abcde")
    for job in jobs:
        assert max(job.config.load.concurrency) == 1000
        assert job.config.workload.name == "mlperf_like"
