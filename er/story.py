"""One deployment, from its configuration to its published run."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from er import provenance, run_dir
from er.config import Config
from er.engine import kinds
from er.errors import ErError
from er.gateway import serve as gateway
from er.load import probe, prompts, users
from er.points import invalidate, measure, summarise
from er.progress import Progress
from er.results import Endpoint, Prompt, Request, ServedModel
from er.routing import cached, corpus
from er.run_dir import RunDir
from er.run_key import run_key, study_key
from er.server import embedded
from er.tracking import mlflow_store


@dataclass(frozen=True)
class Serving:
    """What answers, while it does."""

    entry: Endpoint  # where users send: the gateway when routed, else the only model
    models: list[tuple[Endpoint, ServedModel]]


@dataclass
class Sweep:
    """The deployments that one command runs one after the other."""

    progress: Progress
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    runs: list[RunDir] = field(default_factory=list)

    def run(self, config: Config) -> None:
        """Measure one deployment and publish it.

        Raises ErError when something failed; what was measured until then is on disk and published.
        """
        self.progress.start_job()
        run = run_dir.create(config, run_key(config), provenance.collect(), self._tags(config))
        self.runs.append(run)
        try:
            walk_the_ladder(config, run, self.progress)
        except BaseException as error:
            run.set_status("failed" if isinstance(error, Exception) else "interrupted")
            raise
        else:
            run.set_status("finished")
        finally:
            if config.tracking.enabled:
                mlflow_store.publish(run, config.tracking.uri)

    def _tags(self, config: Config) -> dict[str, str]:
        deployment, kind = config.deployment, config.engine.kind
        return {
            "er.clock": "real",
            "er.deployment": deployment.id,
            "er.engine_kind": kind,
            "er.study_key": study_key(config),
            "er.sweep": self.id,
            "er.title": f"{deployment.description} ({kind})",
            "er.workload": config.workload.description,
        }


def check(jobs: Sequence[Config]) -> None:
    """Raise ErError for whatever would make one of the jobs fail, before any is started."""
    embedded.check()
    for config in jobs:
        kinds.models(config)
        with embedded.reserved_port(config.server.http_port):
            gateway.require_free(config.gateway.port)
        run_dir.require_writable(config)
        if config.tracking.enabled:
            mlflow_store.open_store(config.tracking.uri)
        corpus.load(config.corpus, Path(config.cache_dir))


def walk_the_ladder(config: Config, run: RunDir, progress: Progress) -> None:
    """Start the deployment once and measure a point at each concurrency.

    Raises ErError when it cannot be started or when a model has died.
    """
    progress.say("preparing prompts")
    ladder = prompts_for(config)
    with serving(config, run, progress) as served:
        for concurrency, batch in zip(config.load.concurrency, ladder, strict=True):
            measure_point(config, run, served, concurrency, batch, progress)
        if config.deployment.routed and config.load.gateway_probes:
            progress.say("measuring what the gateway costs")
            measure_gateway(config, run, served, ladder[-1])


@contextmanager
def serving(config: Config, run: RunDir, progress: Progress) -> Iterator[Serving]:
    """Triton with the deployment's engines and, when it is routed, the gateway before them."""
    models = kinds.models(config)
    progress.say(f"starting Triton with {len(models)} model{'s' if len(models) > 1 else ''}")
    with embedded.serve(models, config.server, run.path) as endpoints:
        together = list(zip(endpoints, models, strict=True))
        if not config.deployment.routed:
            yield Serving(endpoints[0], together)
            return
        progress.say("starting the gateway")
        router = cached.router_for(
            config.routing,
            config.corpus,
            config.deployment.experts,
            config.seed,
            Path(config.cache_dir),
        )
        with gateway.serve(router, endpoints, config.gateway, run.path) as entry:
            yield Serving(entry, together)


def prompts_for(config: Config) -> list[list[Prompt]]:
    """Prompts of each point, from the part of the corpus that the router was not trained on.

    The same for every deployment of one seed.
    """
    cache_dir = Path(config.cache_dir)
    texts = [
        (text.topic, text.text)
        for text in corpus.load(config.corpus, cache_dir)
        if text.split == "test"
    ]
    return [
        prompts.build(
            texts,
            config.workload,
            users.requests_of(concurrency, config.load),
            config.seed + concurrency,
            cache_dir,
        )
        for concurrency in config.load.concurrency
    ]


def measure_point(
    config: Config,
    run: RunDir,
    served: Serving,
    concurrency: int,
    batch: Sequence[Prompt],
    progress: Progress,
) -> None:
    """Measure one concurrency and record it; invalid when a model did not survive it.

    Raises ErError when a model has died.
    """
    measured = 0
    with run.request_log(concurrency) as log:

        def keep(request: Request) -> None:
            nonlocal measured
            log.add(request)
            measured += not request.warmup
            progress.request_done(concurrency, measured, counted=not request.warmup)

        load = users.run_point(served.entry, batch, concurrency, config.load, keep)
    point = measure(load.requests, concurrency, config.load, load.loop_lags_s)
    try:
        for endpoint, model in served.models:
            embedded.prove(endpoint, model.ready_max_tokens)
    except ErError as error:
        invalidate(point, f"after this point {error}")
        raise
    finally:
        run.add_point(point)
        progress.point_done(point)


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
