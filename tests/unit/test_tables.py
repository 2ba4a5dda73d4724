"""Every table of a command fits 80 columns, and 46 without losing a digit."""

import io
import re
from collections.abc import Callable
from types import ModuleType

import pytest
from rich.console import Console
from rich.table import Table

from er import bundle, cli, diff, status, table1
from er.claims import __main__ as claims
from er.claims import documents, sensitivity, statements
from er.claims.verdicts import decide
from er.cluster import laptop
from er.cluster.base import State, Status
from er.config import Capacity, Config
from er.load.table import INDENT
from er.report import __main__ as report
from er.results import names, terminal
from er.results.run_dir import RunDir
from er.study import summary

FinishedRun = Callable[..., RunDir]
widths = pytest.mark.parametrize("width", [46, 80, 200])


def shown(width: int, show: Callable[[Console], object]) -> str:
    """What a terminal of this width shows: no line is longer, and nothing is cut."""
    out = Console(width=width, file=io.StringIO(), record=True)
    made = show(out)
    if isinstance(made, Table):
        out.print(made)
    text = out.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    return text


@widths
def test_the_status_of_jobs(width: int, config: Config, finished_run: FinishedRun) -> None:
    run = finished_run(config)
    queued = Status(
        "e", "Expert Router, 8 x Llama 3 8B FP16, TP=1", (1, 1000), State.queued,
        "QOSMaxJobsPerUserLimit", "1234567", "node-0001", "1-00:00:00",
    )  # fmt: skip
    lines = status.lines_of([laptop.status_of(run), queued], width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "1234567" in text
    assert re.search(r"of 8\b", text)
    assert re.search(r"0 of\s+1000\b", text)
    assert "QOSMaxJobsPerUserLimit" in text


@widths
def test_what_differs_between_two_runs(
    width: int, config: Config, finished_run: FinishedRun, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    runs = [finished_run(config), finished_run(config)]
    runs[1].write(names.PROVENANCE, {"python": "3.12.1", "git_commit": "0123456789abcdef" * 3})
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    diff.answer([str(run.path) for run in runs])
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "0123456789abcdef" * 3 in re.sub(r"\s", "", text)
    assert "  provenance.python: - | 3.12.1" in text or width < 80
    assert re.search(r"^ +2 +1\.000 +1\.000", text, re.M)


@widths
def test_the_search_for_capacity(width: int, config: Config, finished_run: FinishedRun) -> None:
    run = finished_run(config)
    config.capacity = Capacity(1000, [1_000, 10_000_000])
    run.begin(config, {}, {})
    found = {
        "gpus": 8, "concurrency": 1128, "concurrency_low": 1120, "concurrency_high": 1136,
        "concurrency_per_gpu": 141.0, "tokens_per_s_per_gpu": 8652.1, "refusal": "",
        "bounded_by": "", "gpus_for": {"1000": 8, "10000000": 70928},
    }  # fmt: skip
    run.write(names.CAPACITY, found)
    text = shown(width, lambda out: summary.capacities([run], out))
    assert "1,128" in text
    assert "1,120 to 1,136" in text
    assert ("71,000" in text) == (width >= 80)


@widths
def test_runs_of_one_deployment_have_longer_names(
    width: int, config: Config, finished_run: FinishedRun
) -> None:
    config.deployment.id, config.deployment.behind_gateway = "e1", True
    runs = []
    for kind in ("fast", "sklearn"):
        config.gateway.kind = kind
        runs.append(finished_run(config))
    assert summary.names_of(runs[:1]) == ["E1"]
    both = summary.names_of(runs)
    assert [name.rpartition(" TP4 ")[2] for name in both] == ["fast gateway", "sklearn gateway"]
    text = shown(width, lambda out: summary.table(runs, out))
    assert re.search(r"\b(yes|no) *$", text, re.M)
    assert all(word in text for name in both for word in name.split())
    assert all(name in text for name in both) or width < 80  # a line for each
    for lines in (summary.legend(runs)[:2], summary.doubts(runs)):
        assert all(any(name in line for line in lines) for name in both)


@widths
def test_verdicts_and_table_1(width: int) -> None:
    claims = statements.read("fig6")
    shown(width, lambda out: out.print(documents.table(decide(claims, []))))
    rows = [table1.cells(config) for config in table1.configured()]
    text = shown(width, lambda out: table1.show(rows, out))
    numbers = {
        number for row in rows for cell in row for number in re.findall(r"[\d,]{6,}", str(cell))
    }
    assert numbers
    assert all(number in text for number in numbers)


@widths
def test_long_lines_are_wrapped_between_words_where_a_terminal_reads_them(
    width: int, config: Config, finished_run: FinishedRun, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    reason = f"{INDENT}only 3 requests, load.requests_at_least is 200: {'measure longer ' * 15}"
    monkeypatch.setenv("COLUMNS", str(width))
    for terminal_reads in (True, False):
        monkeypatch.setattr("sys.stdout.isatty", lambda reads=terminal_reads: reads)
        summary.show([finished_run(config)], terminal.console(100))
        terminal.say(reason)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
        long = [line for line in lines if len(line) > width and len(line.split()) > 1]
        assert bool(long) == (not terminal_reads)
        [start] = [at for at, line in enumerate(lines) if line.startswith(f"{INDENT}only")]
        assert all(line.startswith(INDENT) for line in lines[start:])
        assert " ".join(" ".join(lines[start:]).split()) == " ".join(reason.split())
        assert any(line.startswith(("run directory: /", "  /")) for line in lines)


@pytest.mark.parametrize("width", range(40, 100))
def test_a_number_stays_on_a_line_with_its_unit(width: int) -> None:
    line = "[1/5] A:  4 users, 12 requests, TTFT 50.2 ms, TPOT 14.63 ms, 242 tokens/s, valid, 0.1 s"
    lines = terminal.wrap(line, width)
    assert " ".join(" ".join(lines).split()) == " ".join(line.split())
    kept = ("4 users", "12 requests", "TTFT 50.2 ms", "TPOT 14.63 ms", "242 tokens/s", "0.1 s")
    assert all(any(quantity in part for part in lines) for quantity in kept)


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", [bundle, claims, diff, report, sensitivity])
def test_help_fits_a_terminal(
    command: ModuleType,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: width)
    assert not command.answer(["--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert shown.split() == f"{command.HELP} Exit codes: {cli.EXIT_CODES}".split()
