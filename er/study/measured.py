"""The ladder in real time: start the deployment once, measure the points that are missing."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from er.config import Config
from er.config.trtllm import ContainerEngine
from er.engine import kinds
from er.errors import ConfigError, ErError
from er.gateway import serve as gateway
from er.load import batches, knee, probe
from er.load.point import Target, measure_point
from er.process import cores, nodes, stopping
from er.process.visible import visible_gpus
from er.results import names
from er.results.point import Point, summarise
from er.results.request import Endpoint, Request, ServedModel
from er.results.run_dir import RunDir
from er.server import embedded
from er.server import kinds as servers
from er.simulation.cost import origin_of
from er.simulation.spec import spec_of
from er.study import inputs, predicted
from er.study.progress import Progress

PROVE = [sys.executable, "-m", "er.server.prove"]


@dataclass(frozen=True)
class Serving:
    """What answers, while it does."""

    entry: Endpoint  # where users send: the gateway when routed, else the only model
    models: list[tuple[Endpoint, ServedModel]]
    gateway_log: Path | None = None  # None: there is no gateway

    @property
    def experts(self) -> list[Endpoint]:
        """The engines themselves."""
        return [endpoint for endpoint, _ in self.models]

    def prove(self) -> None:
        """Raise ErError unless every model still answers, and the gateway before them."""
        for endpoint, model in self.models:
            embedded.prove(endpoint, model.ready_max_tokens)
        if not self.gateway_log:
            return
        try:
            embedded.prove(self.entry, self.models[0][1].ready_max_tokens)
        except ErError as error:
            raise ErError(f"the gateway died: {error} (log: {self.gateway_log})") from error


def walk_the_ladder(config: Config, run: RunDir, progress: Progress) -> None:
    """Measure every point that is missing; then, where step times are known, predict them all.

    Raises ErError when the deployment cannot be started or when a model has died.
    """
    with Bench(config, run, progress) as bench:
        found = knee.walk(config.load, bench.point_at)
        if found:
            run.write(names.KNEE, asdict(found))
        probes = config.deployment.routed and config.load.gateway_probes
        if probes and not run.has(names.GATEWAY_COST):
            progress.say("measuring what the gateway costs")
            measure_gateway(config, run, bench.serving())
    predict(config, run, progress)


def predict(config: Config, run: RunDir, progress: Progress) -> None:
    """Predict the points that were measured, where step times are known for the engine."""
    concurrencies = [point.concurrency for point in run.points()]
    try:
        points = predicted.points(config, concurrencies)
    except ConfigError as error:
        progress.say(f"not predicted: {error}")
        return
    run.write(names.PREDICTED, list(map(asdict, points)))
    run.write(names.STEP_TIMES, origin_of(spec_of(config)))


class Bench:
    """A deployment that is started when its first point is measured, and stopped at the end."""

    def __init__(self, config: Config, run: RunDir, progress: Progress) -> None:
        self._config, self._run, self._progress = config, run, progress
        self._stack = ExitStack()
        self._serving: Serving | None = None

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def serving(self) -> Serving:
        """What answers, started when it is not there yet."""
        if not self._serving:
            self._serving = self._stack.enter_context(
                serve(self._config, self._run, self._progress)
            )
        return self._serving

    def point_at(self, concurrency: int) -> Point:
        """The valid point on disk, or a new one."""
        known = self._run.valid_point(concurrency)
        if known:
            return known
        self._progress.time_left.begin_point(concurrency)
        batch = batches.build_batch(self._config, concurrency)
        serving = self.serving()
        measured = 0

        def count(request: Request) -> None:
            nonlocal measured
            measured += request.measured
            self._progress.request_done(concurrency, measured, counted=request.measured)

        cluster = self._config.cluster
        target = Target(
            serving.entry,
            serving.experts,
            gpus_of(self._config),
            further=nodes.further(cluster),
            load_steps=nodes.load_steps(cluster),
            load_nodes=nodes.of_load(cluster),
            prove=serving.prove,
        )
        try:
            point = measure_point(target, batch, concurrency, self._config, self._run, count)
        except ErError:
            self._tell_last(concurrency)
            raise
        self._progress.point_done(point)
        stopping.end_if_stopped()
        return point

    def _tell_last(self, concurrency: int) -> None:
        for point in self._run.points():
            if point.concurrency == concurrency:
                self._progress.point_done(point)


@contextmanager
def serve(config: Config, run: RunDir, progress: Progress) -> Iterator[Serving]:
    """Triton with the deployment's engines and, when it is routed, the gateway before them."""
    models = kinds.models(config)
    progress.say(f"starting Triton with {len(models)} model{'s' if len(models) > 1 else ''}")
    parts = cores.split_for(config.cluster, config.deployment.routed)
    with ExitStack() as stack:
        with cores.running_on(parts.server):
            endpoints = stack.enter_context(servers.serve(models, config, run.path))
        together = list(zip(endpoints, models, strict=True))
        entry, log = endpoints[0], Path()
        if config.deployment.routed:
            progress.say("starting the gateway")
            with cores.running_on(parts.gateway):
                entry = stack.enter_context(serve_gateway(config, endpoints, run))
            log = run.path / "logs" / "gateway.log"
        stack.enter_context(cores.running_on(parts.load))
        prove_from_load_nodes(config, entry, models[0].ready_max_tokens)
        yield Serving(entry, together, log)


def prove_from_load_nodes(config: Config, entry: Endpoint, max_tokens: int) -> None:
    """Raise ErError unless a load generator on other nodes gets an answer on each."""
    steps = nodes.load_steps(config.cluster)
    if steps:
        nodes.reach_directly(entry.host)
    for step in steps:
        arguments = [entry.url, entry.model, str(max_tokens)]
        nodes.run_there(step, [*PROVE, *arguments], config.server.ready_timeout_s)


def serve_gateway(
    config: Config, experts: list[Endpoint], run: RunDir
) -> AbstractContextManager[Endpoint]:
    """The gateway of the deployment before its engines."""
    host = nodes.host(config.cluster)
    return gateway.serve(
        inputs.router_of(config),
        experts,
        replace(config.gateway, host=host) if host != nodes.LOOPBACK else config.gateway,
        run.path,
        config.routing.policy,
        config.seed,
        config.routing.shares,
    )


def gpus_of(config: Config) -> list[int]:
    """The GPUs that its engines are on, by number, on each node that serves; none under a simulated
    engine."""
    if not isinstance(config.engine, ContainerEngine):
        return []
    return visible_gpus(config.deployment.gpus // (1 + len(nodes.further(config.cluster))))


def measure_gateway(config: Config, run: RunDir, serving: Serving) -> None:
    """Pair requests through the gateway with direct ones to the expert it chose."""
    batch = batches.build_batch(config, config.load.concurrency[-1])
    load = config.load
    pairs = probe.probe_pairs(serving.entry, serving.experts, batch, load.gateway_probes, load)
    differences = summarise(
        [through.ttft_s - direct.ttft_s for through, direct in pairs if through.ok and direct.ok]
    )
    if not differences.count:
        raise ErError(f"the gateway's cost is unknown: {failed_pair(pairs)}")
    run.write(
        names.GATEWAY_COST,
        {
            "pairs": differences.count,
            "failed_pairs": len(pairs) - differences.count,
            "ttft_difference_p25_s": differences.p25,
            "ttft_difference_p50_s": differences.p50,
            "ttft_difference_p75_s": differences.p75,
        },
    )


def failed_pair(pairs: Sequence[tuple[Request, Request]]) -> str:
    """Why no pair of requests could be compared."""
    causes = [request.error for pair in pairs for request in pair if request.error]
    return f"all {len(pairs)} pairs of requests failed ({causes[0] if causes else 'no tokens'})"
