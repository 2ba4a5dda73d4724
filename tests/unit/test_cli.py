"""What ends a command line becomes one line and an exit code."""

import ctypes
import gc
import os
import runpy
import signal
import subprocess
import sys
import time

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_unwinds_the_work_and_is_told(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    unwound = []

    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            unwound.append(True)
        return 0

    inherited = signal.signal(number, signal.SIG_DFL)  # nohup has HUP ignored
    try:
        assert cli.run("er.x", work, "all is kept") == code
        assert unwound
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)
    assert capsys.readouterr().err == "er.x: terminated: all is kept\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_c_code_swallows_comes_again(number: signal.Signals, code: int) -> None:
    swallow = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))

    def work() -> int:
        swallow()
        time.sleep(60)
        slept.append(True)
        return 0

    slept: list[bool] = []
    assert cli.run("er.x", work) == code
    assert not slept


@pytest.mark.parametrize(
    ("ended", "code"), [(KeyboardInterrupt(), 130), (cli.Terminated(signal.SIGTERM), 143)]
)
def test_an_interruption_within_compiled_code_is_one(
    ended: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def called_by_compiled_code() -> None:
        try:
            try:
                raise ended
            except BaseException as error:
                raise SystemError("lookup returned a result with an exception set") from error
        except SystemError as error:
            raise SystemError("compiled returned a result with an exception set") from error

    assert cli.run("er.x", called_by_compiled_code, "all is kept") == code
    assert "all is kept" in capsys.readouterr().err
    with pytest.raises(SystemError, match="of its own"):
        cli.run("er.x", lambda: raises(SystemError("of its own")))


class Broken:
    """Something of a library whose clean-up fails when it is let go half-way."""

    def __del__(self) -> None:
        raise TypeError("weak object has gone away")


def test_clean_up_that_fails_after_an_interruption_is_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = sys.unraisablehook

    def work() -> int:
        held = Broken()
        raise cli.Terminated(signal.SIGTERM) from RuntimeError(held)

    assert cli.run("er.x", work) == 143
    assert capsys.readouterr().err.splitlines() == ["er.x: terminated: nothing is left undone"]
    assert sys.unraisablehook is hook


def test_nohup_holds() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.run("er.x", lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run("er.x", lambda: 1 // 0, "")


def test_nothing_collects_what_is_loading() -> None:
    before = gc.get_freeze_count()
    with cli.loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


COMMANDS = [
    "er.build",
    "er.bundle",
    "er.cancel",
    "er.capacity",
    "er.claims",
    "er.claims.sensitivity",
    "er.collect",
    "er.diff",
    "er.gateway",
    "er.load",
    "er.publish",
    "er.report",
    "er.routing.classify",
    "er.routing.evaluate",
    "er.routing.recalibrate",
    "er.routing.train",
    "er.run",
    "er.serve",
    "er.simulation.calibrate",
    "er.simulation.validate",
    "er.status",
    "er.table1",
]


def started(name: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def exit_code(name: str, *arguments: str) -> int:
    """Of a command run in this process, which has loaded its libraries once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        # Else runpy warns. A package stays: imported again it would be another than its modules'.
        if not hasattr(sys.modules.get(name), "__path__"):
            patch.delitem(sys.modules, name, raising=False)
        patch.delitem(sys.modules, f"{name}.__main__", raising=False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_help_runs_nothing_and_a_mistake_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(name, "--help") == 0
    shown, nothing = capsys.readouterr()
    assert nothing == ""
    assert name in shown
    assert cli.EXIT_CODES.split(",")[0] in shown

    assert exit_code(name, "--nonsense") == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "--nonsense" in line or "required" in line


def test_a_command_whose_reader_is_gone_ends_quietly() -> None:
    with started("er.run", "--help") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == ""
    assert command.returncode == 141


def test_a_broken_pipe_of_something_else_is_a_fault() -> None:
    with pytest.raises(BrokenPipeError):
        cli.run("er.x", lambda: raises(BrokenPipeError()), "")
