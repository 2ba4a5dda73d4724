"""The ladder on a virtual clock: the same prompts, router and engine, and nothing started."""

from collections.abc import Iterator, Sequence

from er import sending
from er.config import Config
from er.points import Point, measure
from er.progress import Progress
from er.results import Prompt
from er.routing import router
from er.run_dir import RunDir
from er.simulation.deployment import (
    Delays,
    VirtualDeployment,
    deployment_of,
    predict_point,
    simulate_point,
)


def walk_the_ladder(config: Config, run: RunDir, progress: Progress) -> None:
    """Predict every point, with a record of each request as if it had been measured.

    Raises ConfigError when the deployment does not fit or no step times are known for it.
    """
    progress.say("preparing prompts")
    ladder = sending.ladder_of(config)
    deployment = virtual(config)
    for concurrency, batch, experts in routed(config, ladder):
        requests = simulate_point(deployment, batch, experts, concurrency, config.load)
        run.keep_requests(concurrency, requests)
        point = measure(requests, concurrency, config.load)
        run.add_point(point)
        progress.point_done(point)


def points(config: Config, ladder: sending.Ladder) -> list[Point]:
    """Statistics of the predicted points alone."""
    deployment = virtual(config)
    return [
        predict_point(deployment, batch, experts, concurrency, config.load)
        for concurrency, batch, experts in routed(config, ladder)
    ]


def virtual(config: Config) -> VirtualDeployment:
    """The configured deployment with the configured delays between it and its users."""
    clock = config.clock
    return deployment_of(config, Delays(clock.gateway_s, clock.request_s, clock.reply_s))


def routed(
    config: Config, ladder: sending.Ladder
) -> Iterator[tuple[int, Sequence[Prompt], list[int]]]:
    """Concurrency, prompts, and the expert that the real router chooses for each prompt."""
    chooser = router.load(sending.router_of(config)) if config.deployment.routed else None
    for concurrency, batch in ladder.items():
        yield concurrency, batch, [chooser.classify(p.text) if chooser else 0 for p in batch]
