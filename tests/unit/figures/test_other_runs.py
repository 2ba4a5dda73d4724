"""Every figure of runs that it was not made for: drawn, or refused in one line."""

import importlib
import math
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from er.claims import statements
from er.claims.verdicts import decide
from er.errors import ErError
from er.report import files, page
from er.results.quantiles import summarise
from er.tracking.query import PublishedRun
from paper_figures import fig3, needs, style, view

Make = Callable[..., PublishedRun]
NONE = summarise([])


def of_load_generator(make: Make) -> list[PublishedRun]:
    run = make("deployment=a")
    config = {"target": {"url": "http://x", "model": "m"}, "load": run.config["load"], "seed": 0}
    config |= {"workload": run.config["workload"], "study": "load"}
    return [replace(run, config=config, study="load", deployment="m")]


def of_search(make: Make) -> list[PublishedRun]:
    run = make("deployment=a", "study=capacity")
    for path in (run.files / "requests").iterdir():
        path.unlink()
    return [replace(run, points=[])]


def without_value(make: Make) -> list[PublishedRun]:
    """Invalid points of which nothing is known: every request failed."""
    runs = [make("deployment=a"), make("deployment=e")]
    return [
        replace(
            run,
            points=[
                replace(
                    point, invalid=["all failed"], ttft_s=NONE, tpot_s=NONE, e2e_s=NONE, itl_s=NONE,
                    tokens_per_s=math.nan, goodput=math.nan, experts={},
                )
                for point in run.points
            ],
        )
        for run in runs
    ]  # fmt: skip


def without_requests(make: Make) -> list[PublishedRun]:
    runs = [make("deployment=a"), make("deployment=d")]
    for run in runs:
        shutil.rmtree(run.files / "requests")
    return runs


def some_of_several_seeds(make: Make) -> list[PublishedRun]:
    runs = [make(f"deployment={name}", f"seed={seed}") for name in "ae" for seed in range(5)]
    return [*runs[:7], replace(runs[7], points=runs[7].points[1:])]


def with_odd_names(make: Make) -> list[PublishedRun]:
    study = "a <b>&\"c'$x^2$ \\frac {{ d }}"
    return [make("deployment=a"), replace(make("deployment=e", id="my_$own^e$"), study=study)]


KINDS = (
    of_load_generator, of_search, without_value, without_requests, some_of_several_seeds,
    with_odd_names,
)  # fmt: skip


DRAWN = {
    "of_load_generator": "fig4 fig5 fig7 load",
    "of_search": "fig1",
    "without_value": "batch_limit fig1 fig2 fig4 fig5 fig6 fig7 load overhead",
    "without_requests": "batch_limit fig1 fig4 fig5 fig6 fig7 load overhead",
    "some_of_several_seeds": "batch_limit fig1 fig2 fig4 fig5 fig6 fig7 load overhead",
    "with_odd_names": "batch_limit fig1 fig2 fig4 fig5 fig6 fig7 load overhead",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_and_the_report_are_made_or_refused_in_one_line(
    published: Make, kind: Callable[[Make], list[PublishedRun]]
) -> None:
    runs = kind(published)
    drawn = [name for name in view.names() if is_drawn(name, runs)]
    assert drawn == DRAWN[kind.__name__].split()
    claims = [claim for claim in statements.every() if claim.study == "ladder"]
    try:
        files.require_points(runs)
    except ErError as error:
        assert str(error).startswith("a report shows points of deployments")  # noqa: PT017
        assert "fig6" not in drawn
    else:
        text = page.render(page.Report("<s>", runs, decide(claims, runs), ([], []), None))
        assert "<s>" not in text.partition("<script")[0]
        assert text.count("<figure>") == 5


def is_drawn(name: str, runs: list[PublishedRun]) -> bool:
    """Whether a figure can be drawn of these runs; it is laid out with all its text."""
    module = importlib.import_module(f"paper_figures.{name}")
    try:
        needs.require(name, module.NEEDS, runs)
    except ErError as error:
        assert str(error).startswith(f"{name} cannot show run ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        return False
    with style.applied():
        style.lay_out(module.figure(runs))
    return True


def test_the_rule_of_figure_3_picks_of_what_is_there(published: Make) -> None:
    run = published("deployment.tp=4", "deployment.precision=int8")
    assert fig3.picked([run])[1] == "of the paper's B, C there is no run"
    broken = replace(run, points=[replace(point, invalid=["x"]) for point in run.points])
    assert fig3.picked([run, broken]) == ["It picks none: no point is valid in all of these runs"]
