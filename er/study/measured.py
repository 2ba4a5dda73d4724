"""The ladder in real time: start the deployment once, measure a point at each concurrency."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from er.config import Config
from er.engine import kinds
from er.errors import ConfigError, ErError
from er.gateway import serve as gateway
from er.load import counts, knee, probe, prompts, proof, server_side, users
from er.results.point import Point, measure, summarise
from er.results.request import Endpoint, Prompt, Request, ServedModel
from er.results.run_dir import RunDir
from er.server import embedded
from er.server import kinds as servers
from er.study import inputs, predicted
from er.study.progress import Progress


@dataclass(frozen=True)
class Serving:
    """What answers, while it does."""

    entry: Endpoint  # where users send: the gateway when routed, else the only model
    models: list[tuple[Endpoint, ServedModel]]


def walk_the_ladder(config: Config, run: RunDir, progress: Progress) -> None:
    """Measure every point; then, where step times are known, predict the same ones.

    Raises ErError when the deployment cannot be started or when a model has died.
    """
    progress.say("preparing prompts")
    ladder = inputs.ladder_of(config)
    with serving(config, run, progress) as served:
        found = knee.walk(
            config.load,
            lambda users: measure_point(config, run, served, users, ladder[users], progress),
        )
        if found:
            run.write("knee.json", asdict(found))
        if config.deployment.routed and config.load.gateway_probes:
            progress.say("measuring what the gateway costs")
            measure_gateway(config, run, served, ladder[config.load.concurrency[-1]])
    predict(config, ladder, run, progress)


def predict(config: Config, ladder: inputs.Ladder, run: RunDir, progress: Progress) -> None:
    """Predict the points that were measured, where step times are known for the engine."""
    try:
        run.write("predicted.json", list(map(asdict, predicted.points(config, ladder))))
    except ConfigError as error:
        progress.say(f"not predicted: {error}")


@contextmanager
def serving(config: Config, run: RunDir, progress: Progress) -> Iterator[Serving]:
    """Triton with the deployment's engines and, when it is routed, the gateway before them."""
    models = kinds.models(config)
    progress.say(f"starting Triton with {len(models)} model{'s' if len(models) > 1 else ''}")
    with servers.serve(models, config, run.path) as endpoints:
        together = list(zip(endpoints, models, strict=True))
        if not config.deployment.routed:
            yield Serving(endpoints[0], together)
            return
        progress.say("starting the gateway")
        with gateway.serve(
            inputs.router_of(config),
            endpoints,
            config.gateway,
            run.path,
            config.routing.policy,
            config.seed,
            config.routing.shares,
        ) as entry:
            yield Serving(entry, together)


def measure_point(
    config: Config,
    run: RunDir,
    served: Serving,
    concurrency: int,
    batch: Sequence[Prompt],
    progress: Progress,
) -> Point:
    """Measure one concurrency and record it; invalid when a model did not survive it.

    Raises ErError when a model has died.
    """
    measured = 0
    engines = [endpoint for endpoint, _ in served.models]
    counted = server_side.read(engines)
    with run.request_log(concurrency) as log:

        def keep(request: Request) -> None:
            nonlocal measured
            log.add(request)
            measured += not request.warmup
            progress.request_done(concurrency, measured, counted=not request.warmup)

        load = users.run_point(served.entry, batch, concurrency, config.load, keep)
    after = server_side.read(engines)
    evidence = proof.prove(load, concurrency)
    told = asdict(evidence) | (after.since(counted) if after and counted else {})
    encoding = prompts.encoding_of(config.workload, Path(config.cache_dir))
    doubts = proof.doubts(evidence, config.load)
    doubts += counts.doubts(load.requests, encoding, config.workload)
    try:
        for endpoint, model in served.models:
            embedded.prove(endpoint, model.ready_max_tokens)
    except ErError as error:
        doubts.append(f"after this point {error}")
        raise
    finally:
        point = measure(load.requests, concurrency, config.load, doubts, told)
        run.add_point(point)
        progress.point_done(point)
    return point


def measure_gateway(config: Config, run: RunDir, served: Serving, batch: Sequence[Prompt]) -> None:
    """Pair requests through the gateway with direct ones to the expert it chose."""
    experts = [endpoint for endpoint, _ in served.models]
    pairs = probe.probe_pairs(served.entry, experts, batch, config.load.gateway_probes, config.load)
    differences = summarise(
        [through.ttft_s - direct.ttft_s for through, direct in pairs if through.ok and direct.ok]
    )
    run.write(
        "gateway_cost.json",
        {
            "pairs": differences.count,
            "failed_pairs": len(pairs) - differences.count,
            "ttft_difference_p25_s": differences.p25,
            "ttft_difference_p50_s": differences.p50,
            "ttft_difference_p75_s": differences.p75,
        },
    )
