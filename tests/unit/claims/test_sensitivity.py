"""Claims under what the paper does not say, on the virtual clock."""

from dataclasses import replace
from pathlib import Path

import pytest

from er.claims import sensitivity, statements, thresholds, unknowns
from er.claims.sensitivity import Predictions, Sensitivity
from er.claims.thresholds import Threshold
from er.claims.unknowns import Setting
from er.errors import ConfigError
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
            assert repr(sensitivity.configured(name, setting)) != repr(
                sensitivity.configured(name, unknowns.AS_CONFIGURED)
            )


def test_a_gateway_as_slow_as_the_threshold_turns_the_claim() -> None:
    predictions = Predictions()
    configs = {n: sensitivity.configured(n, unknowns.AS_CONFIGURED) for n in "abce"}
    found = thresholds.gateway_from(configs, predictions.points)
    [claim] = [c for c in statements.read("fig4") if c.id == "e-minimum-raised"]
    for factor, outcome in ((0.98, "fails"), (1.02, "holds")):
        gateway_s = found.value / 1e3 * factor
        setting = Setting("gateway", f"{factor}", (f"clock.gateway_s={gateway_s}",), ("e",))
        runs = sensitivity.runs_under(setting, [1], predictions)
        assert sensitivity.outcomes([claim], runs) == [outcome]


def test_step_times_scale_what_a_deployment_takes() -> None:
    predictions = Predictions()
    base = sensitivity.configured("a", unknowns.AS_CONFIGURED)
    slow = sensitivity.configured("a", Setting("x", "y", step_times=1.2))
    [before], [after] = predictions.points(base, [1]), predictions.points(slow, [1])
    assert 1.1 < after.tpot_s.p50 / before.tpot_s.p50 <= 1.2


def test_a_threshold_is_the_first_of_all_that_follow() -> None:
    found = thresholds.concurrency_from("x", lambda concurrency: concurrency >= 137)
    assert found.value == 137
    assert found.described == "x: from 137 users on (predicted, 1 to 1,000 users)."
    assert "nowhere 1 to 1,000 users" in thresholds.concurrency_from("x", lambda _: False).described


FOUND = Sensitivity(
    ["fig4 x", "fig5 y"],
    ["as configured", "batch limit: 64", "gateway: 5 ms"],
    [["holds", "fails", "holds"], ["open", "open", "fails"]],
    [Threshold("D queues", 150.0, "users", "1 to 1,000 users")],
)


def test_what_is_written_is_read_again_and_told(tmp_path: Path) -> None:
    paths = sensitivity.save(FOUND, tmp_path)
    assert {path.suffix for path in paths} == {".png", ".pdf", ".svg"}
    assert sensitivity.load(tmp_path / sensitivity.FILE) == FOUND
    text = sensitivity.markdown(FOUND)
    assert "| fig4 x | holds in 2 of 3 settings | batch limit: 64 |" in text
    assert "| fig5 y | holds in 0 of 3 settings (2 undecided) | gateway: 5 ms |" in text
    assert "- D queues: from 150 users on" in text


def test_it_is_made_again_only_where_what_it_is_made_from_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    monkeypatch.setattr(sensitivity, "examine", lambda: times.append(1) or FOUND)
    files, kept = sensitivity.make(tmp_path)
    assert (len(files), kept, len(times)) == (4, False, 1)
    assert sensitivity.make(tmp_path) == (files, True)
    assert len(times) == 1
    files[0].write_text("{}")
    assert sensitivity.make(tmp_path) == (files, False)
    assert sensitivity.load(files[0]) == FOUND


def test_the_picture_says_it_without_colour() -> None:
    with style.applied():
        [axes] = heat_map(FOUND.claims, FOUND.settings, FOUND.outcomes).axes
        assert [text.get_text() for text in axes.texts] == ["+", "-", "+", "?", "?", "-"]


def test_a_file_that_lists_no_unknowns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "u.yaml").write_text("ladder: [1]\nunknowns: 3\n")
    with pytest.raises(ConfigError, match="does not list unknowns"):
        unknowns.read(tmp_path / "u.yaml")


def test_a_setting_of_one_deployment_leaves_the_others_alone() -> None:
    setting = Setting("precision of C", "int8", ("deployment.precision=int8",), ("c",))
    base = sensitivity.configured("a", unknowns.AS_CONFIGURED)
    assert sensitivity.configured("a", setting) is base
    assert replace(base) == base
