"""A sweep of deployments: each from its configuration to its published run."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from er.config import ClockKind, Config
from er.config.trtllm import OF_DEPLOYMENT, ContainerEngine, weights_of
from er.corpus import collection
from er.engine import kinds
from er.errors import ErError
from er.gateway import serve as gateway
from er.load import prompts
from er.results import provenance, run_dir
from er.results.keys import run_key, study_key
from er.results.run_dir import RunDir
from er.server import kinds as servers
from er.study import capacity, measured, predicted
from er.study.progress import Progress
from er.tracking import mlflow_store

LADDERS: dict[ClockKind, Callable[[Config, RunDir, Progress], None]] = {
    ClockKind.real: measured.walk_the_ladder,
    ClockKind.virtual: predicted.walk_the_ladder,
}


@dataclass
class Sweep:
    """The deployments that one command runs one after the other."""

    progress: Progress
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    runs: list[RunDir] = field(default_factory=list)

    def run(self, config: Config) -> None:
        """Measure or predict one deployment and publish it.

        Raises ErError when something failed; what was measured until then is on disk and published.
        """
        self.progress.start_job()
        run = run_dir.create(config, run_key(config), provenance.collect(), tags(config, self.id))
        self.runs.append(run)
        try:
            walk = capacity.search if config.capacity else LADDERS[config.clock.kind]
            walk(config, run, self.progress)
        except BaseException as error:
            run.set_status("failed" if isinstance(error, Exception) else "interrupted")
            try:
                publish(run, config)
            except ErError as unpublished:  # it must not take the place of what ended the run
                self.progress.tell(str(unpublished))
            raise
        run.set_status("finished")
        publish(run, config)


def publish(run: RunDir, config: Config) -> None:
    """Take a run to MLflow, unless tracking is off."""
    if config.tracking.enabled:
        mlflow_store.publish(run, config.tracking.uri)


def tags(config: Config, sweep: str) -> dict[str, str]:
    """What MLflow shows beside a run; a simulated engine and a virtual clock are always named."""
    deployment = config.deployment
    policy = {"er.routing_policy": config.routing.policy.value} if deployment.routed else {}
    return {
        "er.clock": config.clock.kind.value,
        "er.deployment": deployment.id,
        "er.engine_kind": config.engine.kind,
        "er.study_key": study_key(config),
        "er.compose": sweep,
        "er.title": f"{config.title} ({made_by(config)})",
        "er.workload": config.workload.description,
        **policy,
    }


def made_by(config: Config) -> str:
    """Where a run's figures come from; weights other than the deployment's own are named."""
    engine, precision = config.engine, config.deployment.precision
    if config.clock.kind is ClockKind.virtual:
        return "predicted"
    if isinstance(engine, ContainerEngine):
        weights = weights_of(engine, precision)
        if weights is not OF_DEPLOYMENT[precision]:
            return f"{engine.kind}, {weights.value}"
    return engine.kind


def check(jobs: Sequence[Config]) -> None:
    """Raise ErError for whatever would make one of the jobs fail, before any is started."""
    for config in jobs:
        if not config.capacity:  # where that it does not fit is an answer
            kinds.models(config)
        if config.clock.kind is ClockKind.real:
            servers.check(config)
            gateway.require_free(config.gateway.port)
        prompts.check(config.workload, config.load, Path(config.cache_dir))
        run_dir.require_writable(config)
    for uri in {job.tracking.uri for job in jobs if job.tracking.enabled}:
        mlflow_store.open_store(uri)
    for job in {repr(job.corpus): job for job in jobs}.values():
        collection.load(job.corpus, Path(job.cache_dir))
