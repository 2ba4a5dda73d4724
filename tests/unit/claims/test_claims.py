"""Claims: read from YAML, decided from points, written into documents."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example_requests import answered

from er import compose
from er.claims import __main__ as command
from er.claims import documents, overview, statements, words
from er.claims.comparisons import Outcome
from er.claims.margins import Margin, mean_of
from er.claims.statements import Claim, Relation
from er.claims.verdicts import Verdict, decide
from er.config.plain import plain
from er.results.keys import run_key
from er.results.names import STEP_TIMES
from er.results.open_run import open_run
from er.results.point import measure
from er.results.run_dir import RunDir
from er.tracking.query import PublishedRun

Make = Callable[..., PublishedRun]
USERS = 4


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Makes a run of a deployment whose requests of 4 users have these times to first token."""

    def make(
        deployment: str,
        ttfts_s: Sequence[float],
        clock: str = "real",
        kind: str = "simulated",
        seed: int = 0,
        error: str = "",
        inputs: int = 100,
    ) -> PublishedRun:
        config = compose.plan([f"deployment={deployment}", f"seed={seed}"])[0]
        name = f"{deployment}-{seed}-{clock}-{kind}"
        with open_run(tmp_path / "runs", name, run_key(config), resume=False) as run:
            requests = [
                answered(i, USERS, ttft, input_tokens=inputs + i) for i, ttft in enumerate(ttfts_s)
            ]
            run.keep_requests(USERS, requests)
            load = config.load
            point = measure(requests, USERS, load)
            point.invalid[:] = [error] if error else []  # one after the other is no closed loop
            run.add_point(point)
        return published(run, deployment, name, clock, kind, plain(config))

    return make


def published(
    run: RunDir, deployment: str, name: str, clock: str, kind: str, config: dict[str, object]
) -> PublishedRun:
    return PublishedRun(
        name, "ladder", deployment, name, kind, clock, "", "2026", run.points(), [], config, {},
        run.path,
    )  # fmt: skip


def claim(is_: str = "below", factor: float = 1, at: tuple[int, int] = (1, 8)) -> Claim:
    return Claim(
        "x", "fig4", "A is faster than D.", "paper", "", "ttft_s.p50", ("a",), Relation(is_),
        ("d",), factor, at,
    )  # fmt: skip


def spread(median: float, count: int = 40, width: float = 0.1, seed: int = 1) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, width, count)
    return list(median * np.exp(noise - np.median(noise)))


def verdict(*runs: PublishedRun, **changes: object) -> Verdict:
    return decide([claim(**changes)], runs)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("clock", "kind", "words"),
    [
        ("real", "trtllm", ("reproduced", "not reproduced")),
        ("real", "simulated", ("reproduced in simulation", "not reproduced in simulation")),
        ("virtual", "simulated", ("predicted", "predicted not to hold")),
    ],
)
def test_the_word_says_how_the_values_came_about(
    made: Make, clock: str, kind: str, words: tuple[str, str]
) -> None:
    a = made("a", spread(0.1), clock, kind)
    d = made("d", spread(0.2, seed=2), clock, kind)
    assert verdict(a, d).word == words[0]
    assert verdict(a, d, is_="above").word == words[1]


@pytest.mark.parametrize(
    ("of_a", "of_d", "holds"),
    [
        ({}, {}, True),
        ({"ttft_s.p50": [0.09, 0.12]}, {"ttft_s.p50": [0.18, 0.22]}, True),
        ({"ttft_s.p50": [0.09, 0.12]}, {"ttft_s.p50": [0.1, 0.22]}, False),  # INT8's bounds, say
        ({"tpot_s.p50": [0.01, 10.0]}, {}, True),  # of another quantity
    ],
)
def test_a_prediction_decides_only_where_its_whole_interval_does(
    made: Make, of_a: dict[str, list[float]], of_d: dict[str, list[float]], holds: bool
) -> None:
    a, d = made("a", spread(0.1), "virtual"), made("d", spread(0.2, seed=2), "virtual")
    for run, interval in ((a, of_a), (d, of_d)):
        run.points[0] = replace(run.points[0], predicted_interval=interval)
    found = verdict(a, d)
    assert found.effect is not None
    assert found.effect.ratio == pytest.approx(0.5, rel=1e-4)
    if holds:
        assert (found.outcome, found.effect.unsure) == (Outcome.holds, False)
    else:
        assert (found.outcome, found.effect.unsure) == (Outcome.open, True)
        assert found.would_decide == "a measurement at 4 users: the prediction is not sure enough"


def test_the_margin_of_a_ratio_widens_it() -> None:
    wide, narrow = Margin(-0.2, 0.3), Margin(-0.1, 0.1)
    assert wide.over(narrow) == Margin(pytest.approx(-0.3), pytest.approx(0.4))
    # One deployment at two concurrencies is slow, or fast, at both.
    assert wide.beside(narrow) == Margin(pytest.approx(-0.1), pytest.approx(0.2))
    assert wide.beside(wide) == Margin()
    assert mean_of([wide, narrow]) == Margin(pytest.approx(-0.15), pytest.approx(0.2))
    assert narrow.around(1.0, 2.0) == pytest.approx((0.9048, 2.2103), abs=1e-4)


def test_a_point_that_is_not_what_its_requests_say_decides_nothing(made: Make) -> None:
    a, d = made("a", spread(0.1)), made("d", spread(0.2, seed=2))
    point = a.points[0]
    slower = {f"p{share}": 10 * getattr(point.ttft_s, f"p{share}") for share in (50, 75, 95, 99)}
    a.points[0] = replace(point, ttft_s=replace(point.ttft_s, **slower))
    found = verdict(a, d)
    assert found.outcome is Outcome.open
    assert "A at 4 users: is not what was measured (ttft_s" in found.reason


def test_one_simulated_engine_makes_the_whole_a_simulation(made: Make) -> None:
    both = made("a", spread(0.1), kind="trtllm"), made("d", spread(0.2))
    assert verdict(*both).word == "reproduced in simulation"


def test_the_effect_is_the_ratio_with_its_interval(made: Make) -> None:
    effect = verdict(made("a", spread(0.1)), made("d", spread(0.2, seed=2))).effect
    assert effect is not None
    assert effect.ratio == pytest.approx(0.5, rel=1e-4)
    assert 0.4 < effect.low < 0.5 < effect.high < 0.6
    assert words.describe(claim(), effect).startswith(
        "at 4 users A's median time to first token is 0.5 times D's ("
    )


def test_a_difference_within_the_spread_is_not_decidable(made: Make) -> None:
    found = verdict(made("a", spread(0.100, width=0.5)), made("d", spread(0.101, 40, 0.5, seed=2)))
    assert found.word == "not decidable"
    assert "at 4 users the ratio is too near to 1" in found.would_decide


def test_what_would_decide_is_as_many_requests_as_the_interval_asks_for(made: Make) -> None:
    found = verdict(made("a", spread(0.100, width=0.5)), made("d", spread(0.12, 40, 0.8, seed=2)))
    effect = found.effect
    assert effect is not None
    assert found.word == "not decidable"
    times = (math.log(effect.high / effect.ratio) / math.log(effect.ratio)) ** 2
    assert found.would_decide.startswith(f"about {math.ceil(times * 40)} requests a point at 4")
    assert 1 < times < 100


def test_the_same_prompts_are_drawn_for_both(made: Make) -> None:
    one = spread(0.1, width=0.5)
    a, d = made("a", one), made("d", [1.02 * value for value in one])
    assert verdict(a, d).outcome is Outcome.holds  # unpaired it would be far from decided
    other = made("d", [1.02 * value for value in one], inputs=500)
    apart = verdict(a, other)
    assert apart.effect is not None
    assert not apart.effect.paired
    assert apart.outcome is Outcome.open


@pytest.mark.parametrize(
    ("ratio", "outcome"), [(1, "holds"), (1.4, "holds"), (2, "fails"), (0.5, "fails")]
)
def test_similar_is_within_a_factor_on_both_sides(made: Make, ratio: float, outcome: str) -> None:
    a, d = made("a", spread(0.1 * ratio, width=0.02)), made("d", spread(0.1, width=0.02, seed=2))
    assert verdict(a, d, is_="within", factor=1.5).outcome.value == outcome


def test_an_invalid_point_decides_nothing(made: Make) -> None:
    found = verdict(
        made("a", spread(0.1)), made("d", spread(0.2), error="the client was late: rest")
    )
    assert found.word == "not decidable"
    assert "D at 4 users: invalid (the client was late)" in found.reason
    assert found.would_decide == "valid points at 4 users"


def test_too_few_requests_decide_nothing(made: Make) -> None:
    """An interval from two or three answers would be narrow by chance."""
    few = verdict(made("a", [0.10, 0.11, 0.10]), made("d", [0.20, 0.21, 0.20]))
    assert few.word == "not decidable"
    assert few.reason.startswith("A at 4 users: only 3 requests, too few for an interval")
    assert few.would_decide == "10 requests a point or more (load.requests_at_least) at 4 users"
    enough = verdict(made("a", spread(0.1, 10)), made("d", spread(0.2, 10)))
    assert enough.outcome is Outcome.holds


def test_runs_that_share_few_prompts_are_drawn_apart(made: Make) -> None:
    d = made("d", spread(0.2))
    file = d.files / "requests" / "c0004.parquet"
    rows = pd.read_parquet(file)
    rows["index"] += 35  # five of forty are the same
    rows.to_parquet(file)
    found = verdict(made("a", spread(0.1)), d)
    assert found.outcome is Outcome.holds
    assert not any(comparison.paired for comparison in found.comparisons)


def test_what_was_not_run_is_named(made: Make) -> None:
    found = verdict(made("a", spread(0.1)))
    assert (found.reason, found.would_decide) == ("no run of D", "runs of D")
    outside = verdict(made("a", spread(0.1)), made("d", spread(0.2)), at=(10, 20))
    assert outside.reason == "no point at 10 to 20 users"


def test_repeats_widen_the_interval_by_what_lies_between_them(made: Make) -> None:
    d = [made("d", spread(0.2, width=0.01, seed=9), seed=seed) for seed in range(3)]
    alike = [made("a", spread(0.1, width=0.01, seed=s), seed=s) for s in range(3)]
    apart = [made("a", spread(0.1 * (1 + 0.3 * s), width=0.01), seed=s, kind="x") for s in range(3)]
    close, far = verdict(*alike, *d).effect, verdict(*apart, *d).effect
    assert close is not None
    assert far is not None
    assert verdict(*alike, *d).repeats == 3
    assert far.high / far.low > 1.2 > close.high / close.low
    assert far.between > 0.1 > far.within > 0
    assert f"{far.between:.1%} over seeds" in words.describe(claim(), far)
    alone = verdict(alike[0], d[0]).effect
    assert alone is not None
    assert alone.between == 0
    assert "over seeds" not in words.describe(claim(), alone)


def test_verdicts_replace_only_those_of_the_same_origin(made: Make, tmp_path: Path) -> None:
    (tmp_path / "fig4").mkdir()
    readme, page = tmp_path / "fig4" / "README.md", tmp_path / "paper.md"
    readme.write_text("# Figure 4\n\nBy hand.\n")
    page.write_text("# Paper\n")
    for clock, ttft_s in (("real", 0.1), ("virtual", 0.1), ("virtual", 0.3)):
        runs = made("a", spread(ttft_s), clock), made("d", spread(0.2, seed=2), clock)
        documents.write([verdict(*runs)], tmp_path, page)
    for text in (readme.read_text(), page.read_text()):
        assert text.count("Held against the paper, predicted") == 1
        assert "**reproduced in simulation**" in text
        assert "**predicted not to hold**" in text
        assert "**predicted** |" not in text
    assert "By hand." in readme.read_text()


def test_predictions_are_decided_with_how_much_of_their_step_times_was_measured(made: Make) -> None:
    runs = made("a", spread(0.1), "virtual"), made("d", spread(0.2, seed=2), "virtual")
    assert "Step times" not in documents.origin([verdict(*runs)])
    runs = made("a", spread(0.1), "virtual", seed=1), made("d", spread(0.2), "virtual", seed=1)
    for run in runs:
        (run.files / STEP_TIMES).write_text('{"about": "half measured; INT8 held against nothing"}')
    found = documents.origin([verdict(*runs)])
    assert found.endswith(". Step times: half measured (A, D); INT8 held against nothing (A, D).")


def test_the_table_is_followed_by_the_command_that_says_the_thresholds(
    made: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decided = [verdict(made("a", spread(1)), made("d", spread(2)))]
    monkeypatch.setattr(command, "verdicts_on", lambda *_: decided)
    monkeypatch.setattr(documents, "log", lambda *_: None)
    assert command.answer([]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("python -m er.claims.sensitivity")
    assert "from which one D queues" in last


def test_every_claim_of_the_repository_can_be_read() -> None:
    every = [claim for name in statements.names() for claim in statements.read(name)]
    assert {claim.figure for claim in every} >= {"fig4", "fig5", "fig6", "fig7"}
    assert all(claim.says and claim.reading and claim.formula for claim in every)


@pytest.mark.parametrize(
    ("slowest_s", "word"),
    [(0.4, "reproduced in simulation"), (1.5, "not reproduced in simulation")],
)
def test_the_documents_own_claim_is_decided_by_95th_percentiles(
    made: Make, tmp_path: Path, slowest_s: float, word: str
) -> None:
    document = (statements.EXPERIMENTS.parent / "docs" / "claims.md").read_text()
    own = document.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "tail").mkdir()
    (tmp_path / "tail" / "claims.yaml").write_text(own)
    [claim] = statements.read("tail", tmp_path)
    assert claim.study == "tail"
    a = made("a", spread(1, 400))
    e = made("e", [*spread(0.1, 360), *spread(slowest_s, 40)])  # the median alone would hold
    [found] = decide([claim], [a, e])
    assert found.word == word
    assert "E's 95th percentile of time to first token is" in found.explanation


def test_a_readme_has_a_row_for_each_claim_and_a_column_for_each_origin(
    made: Make, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# er\n\n{overview.BEGIN}\n{overview.END}\n\nBy hand.\n")
    for clock, ttft_s, column in (("real", 0.1, 1), ("virtual", 0.3, 0), ("real", 0.3, 1)):
        found = verdict(made("a", spread(ttft_s), clock), made("d", spread(0.2, seed=2), clock))
        overview.write(readme, [found], predicted=clock == "virtual")
        [(name, cells)] = overview.rows_of(readme.read_text()).items()
        assert cells[column] == found.word
        assert name == f"{found.claim.figure} {found.claim.id}"
    assert cells == ["predicted not to hold", "not reproduced in simulation"]
    assert readme.read_text().endswith("\n\nBy hand.\n")
    assert readme.read_text().count("| what the paper says |") == 1
