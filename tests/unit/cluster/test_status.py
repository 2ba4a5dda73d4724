"""How jobs are shown, from what is on disk of them; Slurm is not there."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from submitted_job import NAME, end, main

from er import cancel, collect, status
from er.cluster import slurm
from er.cluster.base import State, Status, id_of
from er.cluster.folder import Attempt
from er.cluster.queue import Entry
from er.config import Config
from er.errors import ConfigError
from er.results.run_dir import RunDir

LONG = "srun_is_a_path/" * 12
OOM = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=8.batch."
TIME_LIMIT = "slurmstepd: error: *** JOB 8 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***"
LONG_STATE = "ReqNodeNotAvail, UnavailableNodes:n[1-200], Priority, and some more of the kind"


def read(attempt: Attempt) -> slurm.Jobs:
    return slurm.read(attempt.path.parents[2])


@pytest.mark.parametrize("width", [46, 80, 160])
@pytest.mark.parametrize("detail", ["", LONG_STATE])
def test_job_deployment_and_concurrency_stay_whole(
    attempt: Attempt,
    width: int,
    detail: str,
    config: Config,
    finished_run: Callable[[Config], RunDir],
) -> None:
    end(attempt, 0, LONG)
    one = replace(
        read(attempt).found[0],
        ladder=(1, 2, 1024),
        state=State.queued,
        detail=detail,
        run=finished_run(config),
        node="n[1-2],gpu-node-with-a-long-name-0017",
    )

    lines = status.lines_of([one, replace(one, title="B", job_id="7")], width)

    assert max(map(len, lines)) <= width
    shown = " ".join(line.strip() for line in lines)
    for words in ("12345678", "up to 1 of 1024", "2 of 3", "1 invalid point: 2 users:"):
        assert shown.count(words) >= 1, words
    words = shown.split()
    for word in one.title.replace(",", "").split():
        assert word in shown.replace(",", "").split()
    assert ("27" in words) or ("27," in words)  # requests
    folded = "".join(shown.split())
    assert folded.count(LONG) == 1
    assert folded.count("asjob12345678") == 2  # the same invalid point and the same log
    assert f"queued{f'({detail})' if detail else ''}".replace(" ", "") in folded


def test_requests_are_those_that_the_job_measured(
    attempt: Attempt, config: Config, finished_run: Callable[[Config], RunDir]
) -> None:
    run = finished_run(config)
    (attempt.path / "run_dir.txt").write_text(str(run.path))
    first, second = run.points()
    end(attempt, 0)

    assert cells(attempt) == {"concurrency": "up to 1 of 2", "points": "2 of 2", "requests": "27"}

    attempt.write("points_before.json", [id_of(first)])
    assert cells(attempt)["requests"] == str(second.requests)
    # One that was there and has been measured again since is the job's own.
    attempt.write("points_before.json", [id_of(first), [second.concurrency, 0.125]])
    assert cells(attempt)["requests"] == str(second.requests)
    attempt.note_points_before(run)  # of a job that is begun anew
    assert cells(attempt)["requests"] == str(second.requests)


def cells(attempt: Attempt) -> dict[str, str]:
    [one] = read(attempt).found
    shown = dict(zip(status.HEADINGS, status.cells_of(one), strict=True))
    return {name: shown[name] for name in ("concurrency", "points", "requests")}


@pytest.mark.parametrize(
    ("code", "state"), [(0, State.finished), (75, State.out_of_time)], ids=["finished", "time"]
)
def test_slurm_is_not_asked_for_what_has_ended(
    attempt: Attempt, code: int, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(attempt, code)

    jobs = read(attempt)

    assert [one.state for one in jobs.found] == [state]
    assert jobs.silence is None
    assert main(cancel.main, attempt, monkeypatch) == 0
    assert main(collect.main, attempt, monkeypatch) == (0 if state is State.finished else 1)


@pytest.mark.parametrize(
    ("code", "noted", "state", "detail"),
    [
        (1, "FAILED", State.failed, "exit code 1"),
        (143, "CANCELLED", State.stopped, "cancelled"),
        (143, "TIMEOUT", State.stopped, "timeout"),
        (143, "NODE_FAIL", State.lost, "node fail"),
        (None, "NODE_FAIL", State.lost, "node fail"),
        (None, "CANCELLED", State.stopped, "cancelled"),
        (None, "TIMEOUT", State.stopped, "timeout"),
        (None, "FAILED", State.lost, "failed"),
    ],
)
def test_what_slurm_said_of_an_end_is_enough(
    attempt: Attempt, code: int | None, noted: str, state: State, detail: str
) -> None:
    end(attempt, code or 0)
    if code is None:
        (attempt.path / "exit_code").write_text("   \n")
    attempt.write("ended.json", {"state": noted, "reason": "None"})

    jobs = read(attempt)

    assert [(one.state, one.detail) for one in jobs.found] == [(state, detail)]
    assert jobs.silence is None


def test_without_slurm_the_disk_is_shown_and_marked(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempt.log.write_text("12345678 on n1, started\n")

    assert main(status.main, attempt, monkeypatch, "--watch") == 0
    assert main(collect.main, attempt, monkeypatch, "--follow") == 1

    shown = capsys.readouterr().out
    assert shown.count("unknown (it had begun)") == 2
    assert shown.count("Slurm does not answer; this is what is on disk (squeue is not on") == 2
    end(attempt, 1)
    assert [one.state for one in read(attempt).found] == [State.failed]


def test_an_end_is_noted_once_slurm_has_forgotten_it(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(attempt, 1)
    with monkeypatch.context() as there:
        there.setattr("er.cluster.queue.read", lambda *_: [])
        assert [one.state for one in read(attempt).found] == [State.failed]

    assert read(attempt).silence is None


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_failed_job_whose_node_is_down_is_lost(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, by_itself: bool
) -> None:
    """Slurm notices a dead node minutes after er has given up."""
    end(attempt, 1)
    if by_itself:
        attempt.note_lost_nodes(["n2"])
    ended = Entry("12345678", "FAILED", "NonZeroExitCode", "n[1-2]", "0:00", NAME)
    asked: list[str] = []

    def sinfo(command: list[str], _: float) -> str:
        asked.extend(command)
        return "n1 idle\nn2 down*\n"

    monkeypatch.setattr("er.cluster.queue.read", lambda *_: [ended])
    monkeypatch.setattr("er.cluster.queue.call", sinfo)

    for _ in range(2):
        [one] = read(attempt).found
        assert (one.state, one.detail) == (State.lost, "no answer from n2")
    assert asked == ([] if by_itself else ["sinfo", "--noheader", "--Node", "--nodes=n[1-2]",
                                           "--format=%N %T"])  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "down"),
    [
        ("n1 mixed\nn2 idle*\n", ["n2"]),
        ("n1 idle\nn2 drained\n", []),
        ("n1 down*\n", []),  # one node ended what failed there by itself
    ],
)
def test_nodes_that_are_down(answer: str, down: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("er.cluster.queue.call", lambda *_: answer)

    assert slurm.queue.nodes_down(["n[1-2]"], 5) == down


@pytest.mark.parametrize(
    ("last", "telling"),
    [
        ("srun: Job step aborted: Waiting up to 32 seconds for job step to finish.", ""),
        ("cpu-bind=MASK - n1, task  0  0 [77]: mask 0x1 set", ""),
        ("slurmstepd-n1: error: *** STEP 8.0 ON n1 CANCELLED AT 2026-01-01T00:00:00 ***", ""),
        ("srun: error: n1: task 0: Terminated\n\n", ""),
        (OOM, OOM),
        (TIME_LIMIT, TIME_LIMIT),
    ],
)
def test_the_last_line_that_tells_something(attempt: Attempt, last: str, telling: str) -> None:
    telling = telling or "er: it fails"
    end(attempt, 1, "x" * 100_000, "er: it fails", last)

    [one] = slurm.Jobs([slurm.status_on_disk(attempt)]).found

    assert one.last_line() == telling


def test_a_log_of_slurm_alone_is_shown(attempt: Attempt) -> None:
    attempt.log.write_text("slurmstepd: error: something new\n\n")

    assert slurm.status_on_disk(attempt).last_line() == "slurmstepd: error: something new"


def another(attempt: Attempt, name: str, **intent: str) -> Attempt:
    """A further job of the same study."""
    made = Attempt(attempt.path.parents[1] / name / "001")
    made.path.mkdir(parents=True)
    made.write("intent.json", vars(attempt.intent) | intent)
    made.note_receipt(f"9{len(name)}")
    return made


def test_a_build_is_directly_above_the_first_job_that_waits_for_it(attempt: Attempt) -> None:
    another(attempt, "build-0000", title="alone")
    build = another(attempt, "build-1111", title="build")
    first = another(attempt, "c-1", title="first")
    second = another(attempt, "d-1", title="second")
    for job in (first, second):
        job.write("after.json", str(build.path))

    titles = [one.title for one in read(attempt).found]

    assert titles == [attempt.intent.title, "alone", "build", "first", "second"]
    assert [one.intent.title for one in read(attempt).attempts] == titles


def test_a_reason_that_several_jobs_have_is_given_once(attempt: Attempt) -> None:
    end(attempt, 2, "er: checkpoint is missing")
    twin = another(attempt, "b-1")
    end(twin, 2, "er: checkpoint is missing")
    different = another(attempt, "c-12")
    end(different, 2, "er: no room")

    lines = [line.strip() for line in status.lines_of(read(attempt).found, 160)]

    assert lines.count("er: checkpoint is missing") == 1
    assert lines.count("as job 12345678") == 1
    assert lines.count("er: no room") == 1


@pytest.mark.parametrize(("noted", "detail"), [(False, ""), (True, "cancelling")])
def test_a_job_that_is_being_cancelled_says_so(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, noted: bool, detail: str
) -> None:
    running = Entry("12345678", "RUNNING", "None", "n1", "1:00", NAME)
    monkeypatch.setattr("er.cluster.queue.read", lambda *_: [running])
    if noted:
        attempt.note_cancelled()

    [one] = read(attempt).found

    assert (one.state, one.detail) == (State.running, detail)


def test_a_study_with_a_misspelt_name_is_suggested(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_dir = str(attempt.path.parents[3])
    monkeypatch.setattr("sys.argv", ["er", "laddr", "--runs-dir", runs_dir])

    with pytest.raises(ConfigError, match=r"no study laddr .*did you mean ladder\?"):
        status.main()


def test_a_study_of_no_jobs_has_no_state() -> None:
    assert Status("a", "A", (), State.finished).last_line() == ""
