"""What ends a command line becomes one line and an exit code."""

import gc
import os
import signal

import pytest

from er import cli
from er.errors import ConfigError, ErError


def raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ConfigError("seed is -1"), 2, "er.x: seed is -1\n"),
        (ErError("disk full"), 1, "er.x: disk full\n"),
        (KeyboardInterrupt(), 130, "er.x: interrupted: all is kept\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("er.x", lambda: raises(error), "all is kept") == code
    assert capsys.readouterr().err == says


def test_term_unwinds_the_work_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    unwound = []

    def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            unwound.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert cli.run("er.x", work, "all is kept") == 143
    assert unwound
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == "er.x: terminated: all is kept\n"


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run("er.x", lambda: 1 // 0, "")


def test_nothing_collects_what_is_loading() -> None:
    before = gc.get_freeze_count()
    with cli.loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
