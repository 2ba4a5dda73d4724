"""Claims under what the paper does not say, on the virtual clock."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from er.claims import sensitivity, statements, thresholds, under, unknowns
from er.claims.sensitivity import Sensitivity
from er.claims.thresholds import Threshold
from er.claims.under import Predictions
from er.claims.unknowns import Setting
from er.errors import ConfigError, ErError
from paper_figures import style
from paper_figures.sensitivity import heat_map


def test_every_setting_of_the_repository_composes_and_changes_something() -> None:
    ladder, settings = unknowns.read()
    assert ladder == sorted(ladder)
    assert settings[0] is unknowns.AS_CONFIGURED
    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings[1:]:
        concerned = setting.of or ("d",)
        for name in concerned:
            assert repr(under.configured(name, setting)) != repr(
                under.configured(name, unknowns.AS_CONFIGURED)
            )


def test_a_gateway_as_slow_as_the_threshold_turns_the_claim() -> None:
    configs = {n: under.configured(n, unknowns.AS_CONFIGURED) for n in "abce"}
    found = thresholds.gateway_from(configs, partial(Predictions().points, intervals=False))
    [claim] = [c for c in statements.read("fig4") if c.id == "e-minimum-raised"]
    for factor, outcome in ((0.98, "fails"), (1.02, "holds")):
        gateway_s = found.ranges[0][0] / 1e3 * factor
        setting = Setting("gateway", f"{factor}", (f"clock.gateway_s={gateway_s}",), ("e",))
        assert outcome_at_one_user(claim, setting, intervals=False) == outcome


def outcome_at_one_user(claim: statements.Claim, setting: Setting, *, intervals: bool) -> str:
    """Of predictions with what they may be off by, or of best estimates."""
    predictions = Predictions()
    for name in under.DEPLOYMENTS:
        predictions.points(under.configured(name, setting), [1], intervals=intervals)
    return under.outcomes([claim], under.runs_under(setting, [1], predictions))[0]


def test_step_times_scale_what_a_deployment_takes() -> None:
    predictions = Predictions()
    base = under.configured("a", unknowns.AS_CONFIGURED)
    slow = under.configured("a", Setting("x", "y", step_times=1.2))
    [before], [after] = predictions.points(base, [1]), predictions.points(slow, [1])
    assert 1.1 < after.tpot_s.p50 / before.tpot_s.p50 <= 1.2


@pytest.mark.parametrize(
    ("holds", "told"),
    [
        (lambda users: users >= 137, "from 137 users on"),
        (lambda users: users < 138, "from 1 to 137 users"),
        (lambda users: 7 <= users <= 420, "from 7 to 420 users"),
        (lambda users: users < 7 or users > 420, "from 1 to 6 users and from 421 users on"),
        (lambda users: users == 1000, "from 1,000 users on"),
        (lambda _: True, "from 1 user on"),
        (lambda _: False, "nowhere"),
    ],
)
def test_where_a_condition_holds_is_told_from_its_first_to_its_last(
    holds: Callable[[int], bool], told: str
) -> None:
    found = thresholds.where("x", holds, [1, 10, 100, 1000])
    assert found.described == f"x: {told} (predicted, 1 to 1,000 users)."


FOUND = Sensitivity(
    ["fig4 x", "fig5 y"],
    ["as configured", "batch limit: 64", "gateway: 5 ms"],
    [["holds", "fails", "holds"], ["open", "open", "fails"]],
    [Threshold("D queues", [(150.0, None), (1.0, 2.0)], "users", "1 to 1,000 users")],
    step_times="Step times: half measured (A)",
)


def test_what_is_written_is_read_again_and_told(tmp_path: Path) -> None:
    sensitivity.save(FOUND, tmp_path)
    assert sensitivity.load(tmp_path / sensitivity.FILE) == FOUND
    text = sensitivity.markdown(FOUND)
    assert "| fig4 x | holds in 2 of 3 settings | batch limit: 64 |" in text
    assert "| fig5 y | holds in 0 of 3 settings (2 undecided) | gateway: 5 ms |" in text
    assert "- D queues: from 150 users on" in text
    assert text.endswith("\n\nStep times: half measured (A).")


def test_a_terminal_shows_a_table_that_fits_it(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = {"force_terminal": True, "color_system": None, "_environ": {"TERM": "xterm"}}
    sensitivity.show(FOUND, Console(width=60, **terminal))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert any("holds in 2 of 3" in line and "batch limit: 64" in line for line in lines)
    assert any(line.startswith("D queues: from 150 users on") for line in lines)


def test_one_column_has_the_settings_below_each_other_and_a_footer(tmp_path: Path) -> None:
    with style.applied(style.Width.column):
        drawn = heat_map(FOUND.claims, FOUND.settings, FOUND.outcomes, "Ladder: 1 user.")
        [axes] = drawn.axes
        assert [tick.get_text() for tick in axes.get_yticklabels()] == FOUND.settings
        assert [tick.get_text() for tick in axes.get_xticklabels()] == FOUND.claims
        assert "Ladder: 1 user." in [text.get_text() for text in drawn.texts]
    paths = sensitivity.draw(FOUND, tmp_path, "column")
    assert paths[0].name == "sensitivity-column.png"


@pytest.mark.parametrize("word", ["width=wide", "write=yes", "colour=red", "fig4"])
def test_a_word_that_it_does_not_know_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=word.partition("=")[0]):
        sensitivity.answer([word])


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"thresholds": [{"value": 3}]}', '{"thresholds": []}']
)
def test_a_table_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ErError, match="make it again"):
        sensitivity.load(tmp_path / "s.json")


def test_it_is_made_again_only_where_what_it_is_made_from_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    monkeypatch.setattr(sensitivity, "examine", lambda: times.append(1) or FOUND)
    files, kept = sensitivity.make(tmp_path)
    assert (len(files), kept, len(times)) == (4, False, 1)
    assert sensitivity.make(tmp_path) == (files, True)
    assert len(times) == 1
    files[1].write_bytes(b"damaged")
    assert sensitivity.make(tmp_path) == (files, False)
    assert len(times) == 1  # the picture alone
    files[0].write_text("{}")
    assert sensitivity.make(tmp_path) == (files, False)
    assert sensitivity.load(files[0]) == FOUND


def test_the_picture_says_it_without_colour() -> None:
    with style.applied():
        [axes] = heat_map(FOUND.claims, FOUND.settings, FOUND.outcomes).axes
        minus = "\N{MINUS SIGN}"
        assert [text.get_text() for text in axes.texts] == ["+", minus, "+", "?", "?", minus]


def test_what_a_prediction_may_be_off_by_leaves_open_what_best_estimates_decide() -> None:
    """D's minimum is above the baselines' by less than the intervals of INT8."""
    [claim] = [c for c in statements.read("fig4") if c.id == "d-minimum-raised"]
    assert outcome_at_one_user(claim, unknowns.AS_CONFIGURED, intervals=False) == "holds"
    assert outcome_at_one_user(claim, unknowns.AS_CONFIGURED, intervals=True) == "open"


@pytest.mark.parametrize(
    "text",
    [
        "ladder: [1]\nunknowns: 3",
        "ladder: [",
        "",
        "ladder: [0]\nunknowns: []",
        "ladder: many\nunknowns: []",
        "ladder: [1]\nunknowns: [{name: x, settings: {a: {override: [seed=1]}}}]",
        "ladder: [1]\nunknowns: [{name: x, settings: {a: {overrides: seed=1}}}]",
        "ladder: [1]\nunknowns: [{name: x, settings: {a: {step_times: -1}}}]",
    ],
)
def test_a_file_that_lists_no_unknowns_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "u.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"u\.yaml(: ladder is| does not list unknowns)"
    ) as raised:
        unknowns.read(tmp_path / "u.yaml")
    assert "\n" not in str(raised.value)


def test_a_setting_of_one_deployment_leaves_the_others_alone() -> None:
    setting = Setting("precision of C", "int8", ("deployment.precision=int8",), ("c",))
    base = under.configured("a", unknowns.AS_CONFIGURED)
    assert under.configured("a", setting) is base
    assert replace(base) == base
