"""What becomes of a submitted job, and the commands of its study."""

from collections.abc import Callable

import pytest

from er.cluster.folder import Attempt

NAME = "er-ladder-a-0123456789ab"


def end(attempt: Attempt, code: int, *lines: str) -> None:
    """As the job's script leaves it."""
    attempt.log.write_text("\n".join(["12345678 on n1, started", *lines]) + "\n")
    (attempt.path / "exit_code").write_text(f"{code:<3}\n")


def main(
    command: Callable[[], int], attempt: Attempt, patch: pytest.MonkeyPatch, *options: str
) -> int:
    """A command on its study."""
    runs_dir = str(attempt.path.parents[3])
    patch.setattr("sys.argv", ["er", "ladder", "--runs-dir", runs_dir, *options])
    return command()
