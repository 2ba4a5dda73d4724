"""Lines of cluster.setup in a job's script, which bash runs here as a node would."""

import subprocess
from pathlib import Path

import pytest

from er.cluster.folder import Attempt
from er.cluster.script import Places, render
from er.compose import plan

RAN = "er ran"


def run_script(folder: Path, *setup: str) -> tuple[subprocess.CompletedProcess[str], Attempt]:
    """What a job with these lines prints and leaves; a stand-in takes the place of Python."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho "{RAN} $FROM_SETUP"\n')
    python.chmod(0o755)
    [config] = plan(["deployment=a", "cluster=slurm"])
    config.cluster.setup = list(setup)
    places = Places(folder, python, folder / "code", folder)
    script = folder / "script.sh"
    script.write_text(render(config, "er-x", places, ["-m", "er.run"]))
    done = subprocess.run(
        ["bash", str(script)],
        env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    (folder / "slurm.log").write_text(done.stdout)
    return done, Attempt(folder)


@pytest.mark.parametrize(
    "line",
    [
        "module load apptainer",  # no such command
        "source /nowhere/modules.sh",
        "false # a comment",
        "exit 3",
        "echo 'it''s' && exit 0",  # nothing after it would run
        "if true; then",  # no complete line
        "set -u; echo $nothing",
        "bash -ec 'false; true'",
    ],
)
def test_a_line_that_fails_ends_the_job(tmp_path: Path, line: str) -> None:
    done, attempt = run_script(tmp_path, "true", line, "echo later")

    assert done.returncode == 1
    assert attempt.exit_code == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"cluster.setup failed: {line} (exit code ")
    assert done.stdout.count("cluster.setup failed") == 1
    assert RAN not in done.stdout
    assert "later" not in done.stdout.splitlines()


@pytest.mark.parametrize(
    "lines",
    [
        ["export FROM_SETUP=ok"],
        ["set -eu", "export FROM_SETUP=ok", "false || true"],
        [
            "module() { false; export FROM_SETUP=ok; }",
            "module load x",
        ],  # fails within, not at the end
        ["trap 'echo cleaned' EXIT", "export FROM_SETUP='ok'"],
        ["if true; then export FROM_SETUP=ok; fi # as the site has it"],
    ],
)
def test_lines_that_succeed_change_what_er_runs_in(tmp_path: Path, lines: list[str]) -> None:
    done, attempt = run_script(tmp_path, *lines)

    assert f"{RAN} ok" in done.stdout
    assert "cluster.setup failed" not in done.stdout
    assert attempt.exit_code == done.returncode == 0
    assert ("cleaned" in done.stdout) == ("cleaned" in lines[0])


def test_without_a_line_er_runs(tmp_path: Path) -> None:
    done, attempt = run_script(tmp_path)

    assert RAN in done.stdout
    assert attempt.exit_code == 0


def test_a_job_that_is_stopped_during_its_setup_has_not_failed(tmp_path: Path) -> None:
    done, attempt = run_script(tmp_path, "kill -TERM $$; false")

    assert attempt.exit_code == done.returncode == 143
    assert "cluster.setup failed" not in done.stdout
