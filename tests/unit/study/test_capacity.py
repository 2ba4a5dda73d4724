"""How many users a deployment carries: the search, its run, its table and its picture."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from er import capacity as command
from er.compose import plan
from er.config import Config, Precision
from er.config.plain import plain
from er.errors import ConfigError, ErError
from er.results import capacities, labels
from er.results.open_run import open_run
from er.results.run_dir import RunDir
from er.study import capacity, predicted, summary
from er.study.progress import Progress
from er.tracking.publish import publish
from er.tracking.query import shown
from paper_figures import capacity as picture


def test_the_search_stops_within_a_hundredth_of_where_users_are_too_many():
    tried = []

    def beyond(users):
        tried.append(users)
        return "TTFT" if users > 777 else ""

    users, reason = capacity.largest(beyond)
    assert 777 * 0.99 <= users <= 777
    assert reason == "TTFT"
    assert len(tried) < 20
    assert capacity.largest(lambda _: "always") == (0, "always")
    assert capacity.largest(lambda users: "two" if users > 1 else "") == (1, "two")
    assert capacity.largest(lambda _: "") == (1 << 20, "")


@pytest.fixture(scope="module")
def configs(tmp_path_factory) -> list[Config]:
    """Deployment E under two limits, and B on GPUs too small for it."""
    folder = tmp_path_factory.mktemp("runs")
    tried = ["+experiment=capacity", "hardware=h100_sxm", "routing.policy=random"]
    tried += ["workload.output.scale=0.1", f"runs_dir={folder}", "engine.max_batch_size=64"]
    both = plan([*tried, "deployment=e", "load.tpot_at_most_s=0.0095,0.0105"], True)
    return [*both, *plan([*tried, "deployment=b", "deployment.tp=1"])]


@pytest.fixture(scope="module")
def runs(configs) -> list[RunDir]:
    made = []
    for config in configs:
        tags = {"er.deployment": config.deployment.id, "er.sweep": "s", "er.study_key": "k"}
        tags |= {"er.title": "t", "er.engine_kind": "simulated", "er.clock": "virtual"}
        name = f"{config.deployment.id}-{config.load.tpot_at_most_s}"
        with open_run(Path(config.runs_dir), name, "0" * 16) as run:
            run.begin(config, {}, {**tags, "er.workload": "w"})
            capacity.search(config, run, Progress([config], Console(quiet=True), job=0))
            run.end("finished")
        made.append(run)
    return made


def test_a_looser_limit_carries_more_users_and_each_point_is_kept(configs, runs):
    tight, loose = (run.read("capacity.json") for run in runs[:2])
    assert 0 < tight["concurrency"] < loose["concurrency"]
    for config, run, found in zip(configs, runs[:2], (tight, loose), strict=False):
        points = {point.concurrency: point for point in run.points()}
        assert list(points) == sorted(points)
        best = points[found["concurrency"]]
        assert best.tpot_s.p95 == found["tpot_p95_s"] <= config.load.tpot_at_most_s
        assert found["tokens_per_s_per_gpu"] == best.tokens_per_s / 8
        assert "TPOT p95" in found["bounded_by"]


def test_a_point_of_the_search_is_one_of_the_ladder(configs, runs):
    points = runs[0].points()
    study = predicted.Study(configs[0])
    prompts = capacity.batches.build_prompts(configs[0], 2000, 0)
    again = study.play(prompts, points[3].concurrency).point()
    assert again.ttft_s == points[3].ttft_s
    assert again.tokens_per_s == points[3].tokens_per_s


def test_the_interval_holds_the_prediction_and_is_as_wide_as_the_model_is_unsure(configs, runs):
    load = configs[0].load
    for run in runs[:2]:
        found = run.read("capacity.json")
        assert found["concurrency_low"] < found["concurrency"] < found["concurrency_high"]
        assert "TPOT p95" in found["low_bounded_by"]
        assert "with the slowest correction" in found["low_bounded_by"]
    tight, loose = (capacity.scaled(load, Precision.fp16, power) for power in (-1, 1))
    assert capacity.scaled(load, Precision.fp8, -1).tpot_at_most_s < tight.tpot_at_most_s
    assert tight.tpot_at_most_s < load.tpot_at_most_s < loose.tpot_at_most_s
    assert tight.ttft_at_most_s * loose.ttft_at_most_s == pytest.approx(load.ttft_at_most_s**2)


def test_a_document_takes_the_searches_as_a_table(runs, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n")
    command.main([str(runs[0].path.parent), "--write", str(page)])
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    rows = [line for line in lines if line.startswith(("| E", "| B"))]
    assert len(rows) == 3
    found = runs[0].read("capacity.json")
    interval = f"{found['concurrency_low']} to {found['concurrency_high']}"
    assert any(interval in row and found["bounded_by"] in row for row in rows)
    assert "does not fit" in rows[0]
    assert {row.count("|") for row in rows} == {len(command.HEADINGS) + 3 + 1}
    assert [line for line in lines if "Step times" in line] == [
        "Step times: matrix products 50% measured, 50% interpolated (E); "
        "attention 81% measured, 19% extrapolated (E)."
    ]
    with pytest.raises(ErError, match="holds no search for capacity"):
        command.main([str(tmp_path)])


def test_what_does_not_fit_is_an_answer(runs):
    found = runs[2].read("capacity.json")
    assert found["concurrency"] == 0
    assert "does not fit h100_sxm" in found["refusal"]
    assert runs[2].points() == []


def test_what_has_no_kernel_times_cannot_run_and_says_what_to_choose():
    found = {"refusal": "a100_sxm has no FP8", "concurrency": 0}
    assert capacities.describe_none(found) == "cannot run"
    [config] = plan(["deployment=e", "clock=virtual", "hardware=a100_sxm"])
    config.deployment.precision = Precision.fp8
    says = "^a100_sxm has no FP8: choose deployment.precision=fp16 or int8, or hardware=h100_sxm"
    with pytest.raises(ConfigError, match=says):
        predicted.Study(config)


def test_gpus_of_many_users_are_rounded_up_to_two_digits():
    gpus = [8, 96, 104, 1_504, 71_432, 100_000]
    assert [capacities.round_up(count) for count in gpus] == [8, 96, 110, 1600, 72_000, 100_000]


def test_searches_that_differ_in_the_seed_are_told_apart_from_the_models_interval(configs):
    seeds = [plain(replace(configs[0], seed=seed)) for seed in (0, 1)]
    found = [{"concurrency": 1120}, {"concurrency": 864}, {"concurrency": 1}]
    lines = capacities.describe_draws([*seeds, plain(configs[1])], found)
    assert [line.partition("on ")[2] for line in lines] == [
        "h100_sxm, prompts and router of seeds 0, 1: 864 to 1,120 users"
    ]


def test_an_interval_that_reaches_far_down_says_what_breaks_there():
    found = {"concurrency": 163, "concurrency_low": 0, "low_bounded_by": "TPOT p95 is 0.1 s"}
    assert capacities.describe_low_end(found) == "0 at the lower end: TPOT p95 is 0.1 s"
    assert capacities.describe_low_end({**found, "concurrency_low": 160}) == ""


def test_gpus_come_in_whole_copies_of_the_deployment(runs):
    point = replace(runs[0].points()[0], concurrency=100)
    found = capacity.carried(point, 8, "", [1, 100, 101, 10_000_000])
    assert list(found.gpus_for.values()) == [8, 8, 16, 800_000]


def test_the_table_tells_runs_apart(runs):
    console = Console(width=140, file=io.StringIO())
    console.print(summary.capacities(runs, console))
    text = console.file.getvalue()
    assert "Predicted: highest concurrency" in text
    assert "load.tpot_at_most_s=0.0095" in text
    assert "8 x llama3_8b fp16 TP=1, random" in text
    assert "does not fit" in text
    lines = summary.limits_met(runs)
    assert lines[0].startswith(
        "E 8 x llama3_8b fp16 TP=1, random on h100_sxm load.tpot_at_most_s=0.0095: TPOT p95"
    )
    assert lines[2].startswith(
        "B llama3_70b fp16 TP=1 on h100_sxm: llama3_70b in fp16 at tp=1 does not fit"
    )


def test_the_picture_is_drawn_from_what_was_published(runs, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for run in runs:
        publish(run, uri)
    published = shown(uri, "capacity")
    assert [run.deployment for run in published] == ["b", "e", "e"]
    assert published[1].capacity == runs[0].read("capacity.json")
    drawn = picture.figure(published)
    footer = " ".join(text.get_text() for text in drawn.texts).replace("\n", " ")
    assert "Step times: matrix products 50% measured, 50% interpolated (E)" in footer
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert texts.count("does not fit") == 2
    found = published[1].capacity
    low, high = found["concurrency_low"] / 8, found["concurrency_high"] / 8
    assert f"{found['concurrency_per_gpu']:,.0f} ({low:,.0f} to {high:,.0f})" in texts
    empty = picture.figure(published[:1])  # nothing to draw: no warning, no legend of whiskers
    assert not [
        t for legend in empty.legends for t in legend.get_texts() if "whisker" in t.get_text()
    ]
    lines = [list(line.get_xdata()) for line in drawn.axes[0].lines]
    assert [low, high] in lines
    assert "predicted" in drawn.get_suptitle()


def test_labels_follow_overrides():
    [config] = plan(["deployment=d", "deployment.experts=4", "routing.policy=random"])
    config.routing.shares = [2, 1, 1, 1]
    assert labels.engines(plain(config)) == "4 x llama3_70b int8 TP=1, random 2:1:1:1"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("clock=real", "capacity needs clock=virtual"),
        ("capacity.gpus_for_users=[0]", r"gpus_for_users is \[0\]"),
        ("capacity.prompts=0", r"capacity\.prompts is 0"),
    ],
)
def test_a_search_that_cannot_be_is_refused(override, says):
    with pytest.raises(ConfigError, match=says):
        plan(["+experiment=capacity", override])


def test_rows_go_by_deployment_and_then_by_the_speed_of_the_node_type(tmp_path):
    """Not by the names of folders, which end with digits of a key."""
    words = ["+experiment=capacity", "deployment=b,a", "hardware=h200_sxm,a100_sxm,h100_sxm"]
    for place, config in enumerate(plan(words, True)):
        run = RunDir(tmp_path / f"{config.deployment.id}-{place}")
        run.write("config.json", plain(config))
        run.write("capacity.json", {})
    order = [run.read("config.json") for run in command.runs_in(tmp_path)]
    assert [(each["deployment"]["id"], each["hardware"]["name"]) for each in order] == [
        (deployment, hardware)
        for deployment in ("a", "b")
        for hardware in ("a100_sxm", "h100_sxm", "h200_sxm")
    ]
