"""The scripts that are submitted: as in tests/golden/slurm, sound shell, and taken by Slurm.

After a change that is meant: ER_WRITE_GOLDEN=1 python -m pytest tests/slurm/test_scripts.py -k
as_it_was, then read the diff.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from site_of_tests import Site
from slurm_user import until

from er import compose
from er.cluster import partition
from er.cluster.script import Places, render
from er.config import Config
from er.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "slurm"
SITES = Path(__file__).parents[2] / "slurm"
ENGINE = ["engine=trtllm", "server=container"]
PLACES = Places(
    Path("/home/me/runs/ladder/jobs/JOB/001"),
    Path("/home/me/er/.venv/bin/python"),
    Path("/home/me/runs/ladder/jobs/code/DIGEST"),
    Path("/home/me"),
)
COMMAND = ["-m", "er.run", f"job={PLACES.attempt}/job.json"]


def script_of(*overrides: str, places: Places = PLACES) -> str:
    config = config_of(*overrides)
    return render(config, f"er-ladder-{config.deployment.id}-UNIQUE", places, COMMAND)


@functools.cache
def config_of(*overrides: str) -> Config:
    [job] = compose.jobs_of(["+experiment=fig4", *overrides], multirun=True, config_dir=SITES)
    return job.config


def cases() -> dict[str, list[str]]:
    """Overrides by the name of the golden file."""
    deployments = {
        name: [f"deployment={name}", *ENGINE, "cluster=slurm", "cluster.gpu_type=h100"]
        for name in "abcde"
    }
    sites = {
        path.stem: ["deployment=d", *ENGINE, f"+site={path.stem}"]
        for path in sorted((SITES / "site").glob("*.yaml"))
    }
    e, load_node = deployments["e"], "cluster.load_node=true"
    several = {
        "e_load_node": [*e, load_node],
        "e_two_nodes": [*e, "cluster.nodes=2"],
        "e_two_nodes_two_load_nodes": [*e, "cluster.nodes=2", load_node, "cluster.load_nodes=2"],
    }
    return deployments | sites | several


@pytest.mark.parametrize("name", cases())
def test_a_script_is_as_it_was(name: str) -> None:
    path = GOLDEN / f"{name}.sh"
    if os.environ.get("ER_WRITE_GOLDEN"):
        path.write_text(script_of(*cases()[name]))
    assert script_of(*cases()[name]) == path.read_text()


def test_golden_scripts_are_sound() -> None:
    scripts = sorted(map(str, GOLDEN.glob("*.sh")))
    assert len(scripts) == len(cases())
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=bash", "--exclude=SC1091", *scripts], check=True)


@pytest.mark.parametrize("name", cases())
def test_slurm_takes_it(name: str, site: Site, tmp_path: Path) -> None:
    here = Places(tmp_path, PLACES.python, PLACES.code, tmp_path)
    script = tmp_path / "script.sh"
    script.write_text(script_of(*cases()[name], places=here))

    site.call("sbatch", "--test-only", str(script))


def test_a_folder_may_have_any_name(site: Site, tmp_path: Path) -> None:
    """Slurm's own options are read neither as a shell reads them nor as they are."""
    folder = tmp_path / 'it\'s 100%j "mine" #1'
    folder.mkdir()
    here = Places(folder, PLACES.python, PLACES.code, folder)
    text = script_of("deployment=a", "cluster=slurm", "cluster.memory=1G", places=here)
    options = [line for line in text.splitlines() if line.startswith("#SBATCH ")]
    (folder / "script.sh").write_text("\n".join(["#!/bin/sh", *options, "pwd"]) + "\n")

    job_id = site.call("sbatch", "--parsable", str(folder / "script.sh")).strip()
    site.wait(job_id, "COMPLETED")

    assert (folder / "slurm.log").read_text() == f"{folder}\n"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", cases())
def test_a_site_has_what_it_asks_for(name: str) -> None:
    partition.require_room(config_of(*cases()[name]))


def test_gpus_of_a_shared_node_are_those_that_slurm_gave(site: Site, tmp_path: Path) -> None:
    """Slurm without cgroups numbers GPUs as the node does: the second job's begin at 4."""
    said = "from er.server import trtllm_launch as t; print(t.places(['x'], 4, [None])[0].gpus)"
    outputs = []
    for number in range(2):
        shared = ["cluster.exclusive=false", "cluster.cpus=1", "cluster.memory=1G"]
        text = script_of(*cases()["a"], *shared)
        asked = re.compile("#SBATCH --(gpus|nodes|mem)")
        options = [line for line in text.splitlines() if asked.match(line)]
        out = tmp_path / f"{number}.txt"
        script = tmp_path / f"{number}.sh"
        python = Path(__file__).parents[2] / ".venv/bin/python"
        lines = ["#!/bin/bash", *options, f'{python} -c "{said}"', f"touch {out}.done; sleep 20"]
        script.write_text("\n".join(lines) + "\n")
        job = ["sbatch", "--parsable", "--nodelist=n1", f"--output={out}", str(script)]
        outputs.append((site.call(*job).strip(), out))
    for _, out in outputs:
        until(lambda done=Path(f"{out}.done"): done.exists() or None, "output")

    assert [out.read_text().strip() for _, out in outputs] == ["(0, 1, 2, 3)", "(4, 5, 6, 7)"]


def test_a_key_that_no_site_has_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    text = (
        "# @package _global_\ndefaults:\n  - override /cluster: slurm\ncluster:\n  partitoin: x\n"
    )
    (tmp_path / "site" / "mine.yaml").write_text(text)

    with pytest.raises(ConfigError, match="partitoin"):
        compose.jobs_of(["+site=mine"], config_dir=tmp_path)
