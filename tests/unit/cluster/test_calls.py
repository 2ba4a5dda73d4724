"""What Slurm's programs answer, as Slurm 22.05 with slurmdbd wrote it."""

from pathlib import Path

import pytest

from er.cluster.calls import LimitError, NoAnswerError, call
from er.errors import ErError

VIOLATES = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)"
)


def sbatch(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """An sbatch that fails so."""
    (folder / "answer").write_text("\n".join(lines) + "\n")
    (folder / "sbatch").write_text(f"#!/bin/sh\ncat {folder}/answer >&2\nexit 1\n")
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "reason",
    [
        "AssocMaxSubmitJobLimit",  # MaxSubmitJobs of a user
        "AssocGrpSubmitJobsLimit",  # GrpSubmitJobs of an account
        "QOSMaxSubmitJobPerUserLimit",  # MaxSubmitJobsPerUser of a QOS
    ],
)
def test_more_jobs_than_a_user_may_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str
) -> None:
    sbatch(tmp_path, monkeypatch, f"sbatch: error: {reason}", VIOLATES)

    with pytest.raises(LimitError, match=reason):
        call(["sbatch", "x"], 5)


def test_a_job_that_is_too_long_does_not_wait_for_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sbatch(tmp_path, monkeypatch, "sbatch: error: QOSMaxWallDurationPerJobLimit", VIOLATES)

    with pytest.raises(ErError, match="QOSMaxWallDurationPerJobLimit") as raised:
        call(["sbatch", "x"], 5)

    assert not isinstance(raised.value, LimitError)


def test_a_controller_that_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = "sbatch: error: Batch job submission failed: Unable to contact slurm controller"
    sbatch(tmp_path, monkeypatch, lines, "slurm_receive_msg: Zero Bytes were transmitted")

    with pytest.raises(NoAnswerError):
        call(["sbatch", "x"], 5)


PRINTS_ENVIRONMENT = "#!/bin/sh\nenv\n"


@pytest.mark.parametrize(
    "name",
    [
        "SLURM_CPUS_PER_TASK",
        "SLURM_TIME_FORMAT",
        "SBATCH_PARTITION",
        "SBATCH_TIMELIMIT",
        "SBATCH_ACCOUNT",
        "SBATCH_GRES",
        "SBATCH_EXPORT",
        "SALLOC_PARTITION",
        "SRUN_DEBUG",
        "SQUEUE_FORMAT",
        "SQUEUE_STATES",
        "SINFO_FORMAT",
        "SINFO_PARTITION",
        "SCANCEL_STATE",
    ],
)
def test_no_variable_overrides_the_site_or_what_is_parsed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "sbatch").write_text(PRINTS_ENVIRONMENT)
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("MY_SLURM_NOTE", "y")

    lines = call(["sbatch", "script.sh"], 5).splitlines()

    assert f"{name}=x" not in lines
    assert {"SLURM_CONF=/etc/slurm.conf", "MY_SLURM_NOTE=y"} <= set(lines)
