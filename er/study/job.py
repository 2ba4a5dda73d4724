"""Jobs: each from its configuration to its published run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from er.cli import interruptions_kept
from er.compose import Job
from er.config import ClockKind, Config, Policy
from er.config.run import IN_CONTAINER
from er.config.trtllm import OF_DEPLOYMENT, ContainerEngine, weights_of
from er.corpus import collection
from er.engine import kinds
from er.errors import ErError
from er.gateway import serve as gateway
from er.load import credentials, descriptors, prompts
from er.process import cores, nodes
from er.results import command_id, names, provenance
from er.results.keys import run_key, study_key
from er.results.open_run import newest_run, open_run, require_writable
from er.results.point import describe_invalid
from er.results.run_dir import ReadOnce, RunDir
from er.routing import projection
from er.server import kinds as servers
from er.study import capacity, inputs, known, measured, predicted, shared
from er.study.progress import Progress

KEY_DIGITS = 12  # of a run's directory
LADDERS: dict[ClockKind, Callable[[Config, RunDir, Progress], None]] = {
    ClockKind.real: measured.walk_the_ladder,
    ClockKind.virtual: predicted.walk_the_ladder,
}


@dataclass
class Sweep:
    """The deployments that one command runs one after the other."""

    progress: Progress
    resume: bool = True  # take from disk the valid points that are there
    id: str = field(default_factory=command_id.new_id)
    runs: list[RunDir] = field(default_factory=list)
    on_open: Callable[[RunDir], None] = lambda _: None  # called with each run directory
    on_resume: Callable[[RunDir], None] = lambda _: None  # and again, once its old points are there

    def run(self, config: Config) -> None:
        """Measure or predict what is missing of one deployment, and publish its run.

        Raises ErError when something failed; what was measured until then is on disk and published.
        """
        self.progress.start_job()
        key = key_of(config)
        folder = Path(config.runs_dir) / config.study
        with open_run(folder, name_of(config, key), key, self.resume) as run:
            self.runs.append(run)
            self.on_open(run)
            place = self.resume and shared.take_over(config, run, key, tags(config, self.id))
            self.on_resume(run)
            there = ReadOnce(run.path)
            self.progress.take(known.points(config, there), place or run.path)
            again = known.invalid_points(config, there) if self.resume else []
            if again:
                self.progress.tell(
                    f"{self.progress.name}: measures again {describe_invalid(again)}"
                )
            for line in known.describe_lost(config, there):
                self.progress.tell(line)
            if known.complete(config, there):
                run.relabel(tags(config, self.id))
            else:
                self._add_to(run, config)
        publish(run, config)

    def _add_to(self, run: RunDir, config: Config) -> None:
        """Walk the ladder; note how that ended."""
        split = cores.split_for(config.cluster, config.deployment.routed).described()
        facts = provenance.collect() | ({"cores": split} if split else {})
        facts |= places_of(config)
        run.begin(config, facts, tags(config, self.id))
        if config.deployment.routed and config.routing.policy is Policy.kmeans:
            run.write(names.ROUTER_MAP, map_of_router(config))
        try:
            walk = capacity.search if config.capacity else LADDERS[config.clock.kind]
            with interruptions_kept():
                walk(config, run, self.progress)
        except BaseException as error:
            run.end_early(error)
            try:
                if run.has(names.CONFIG):
                    publish(run, config)
            except ErError as unpublished:  # it must not take the place of what ended the run
                self.progress.tell(str(unpublished))
            raise
        run.end("finished")


def places_of(config: Config) -> dict[str, Any]:
    """The nodes of a job on several of them; empty where all is on one."""
    load, further = nodes.of_load(config.cluster), nodes.further(config.cluster)
    facts: dict[str, Any] = {"load_node": ",".join(load)} if load else {}
    return facts | ({"nodes": [nodes.own(), *further]} if further else {})


def map_of_router(config: Config) -> dict[str, Any]:
    """What the deployment's router was trained on, for Figure 1."""
    file = inputs.router_of(config)
    assert file
    texts = collection.load(config.corpus, Path(config.cache_dir))
    return projection.map_of(file, [text.text for text in texts if text.split == "train"])


def run(job: Job, resume: bool = True) -> RunDir:
    """Check and run one job by itself, as a launcher does; its run directory.

    Raises ErError when it cannot be run, or failed.
    """
    check([job.config])
    progress = Progress([job.config], Console(soft_wrap=True))
    sweep = Sweep(progress, resume, job.sweep or command_id.new_id())
    sweep.run(job.config)
    return sweep.runs[0]


def is_done(config: Config) -> bool:
    """Whether nothing that the job asks for is missing. Raises ErError as `key_of` does."""
    run = _own_run(config, key_of(config))
    return bool(run and run.has(names.RECORD) and known.complete(config, run))


def place_of_all(config: Config) -> Path | None:
    """Where all that the job asks for is measured already: its own run, or one of another study.

    None where something is missing. Raises ErError as `key_of` does.
    """
    key = key_of(config)
    own = _own_run(config, key)
    if own and own.has(names.RECORD) and known.complete(config, own):
        return own.path
    if own and own.has(names.POINTS):  # a run that was begun is gone on with
        return None
    other = shared.complete_run(config, key)
    return other.path if other else None


def place_of_an_engine(config: Config) -> Path | None:
    """A run that has all that the job asks for, measured with an engine that only a node can tell
    from its own; None without one."""
    runs = (run for run in shared.runs_of(Path(config.runs_dir)) if run.has(names.ENGINE))
    for run in runs:
        digest = digest_in(run.read(names.ENGINE))
        same = digest and run.read(names.RECORD).get("key") == run_key(
            config, digest, corpus_digest(config)
        )
        if same and known.complete(config, run):
            return run.path
    return None


def take_all(config: Config, command: str) -> tuple[RunDir, Path]:
    """Do what `Sweep.run` does of a job of which nothing is to be measured, but publish: its run,
    and where its points were (`place_of_all`).

    Raises ErError when the run cannot be written or another command writes to it.
    """
    key, place = key_of(config), place_of_all(config)
    assert place
    with open_run(Path(config.runs_dir) / config.study, name_of(config, key), key) as run:
        if place != run.path:
            shared.take_over(config, run, key, tags(config, command))
        run.relabel(tags(config, command))
    return run, place


def _own_run(config: Config, key: str) -> RunDir | None:
    return newest_run(Path(config.runs_dir) / config.study, name_of(config, key), key)


def name_of(config: Config, key: str) -> str:
    """Of a run's directory."""
    return f"{config.deployment.id}-{key[:KEY_DIGITS]}"


def key_of(config: Config) -> str:
    """The key of the run that the job adds to. Raises ErError when its engine is not there."""
    return run_key(config, engine_digest(config), corpus_digest(config))


def engine_digest(config: Config) -> str:
    """What is in the engines or checkpoints that are served; empty where the configuration says
    all of it."""
    if not isinstance(config.engine, ContainerEngine):
        return ""
    return digest_in(kinds.models(config)[0].parameters)


def digest_in(parameters: Mapping[str, str]) -> str:
    """The digest of an engine or checkpoint, among its parameters; empty without one."""
    return parameters.get("engine_key") or parameters.get("checkpoint_sha256", "")


def corpus_digest(config: Config) -> str:
    """What is in a corpus that others may change; empty where the configuration says all of it."""
    if not config.corpus.dataset:
        return ""
    return collection.digest(collection.load(config.corpus, Path(config.cache_dir)))


def publish(run: RunDir, config: Config) -> None:
    """Take a run to MLflow, unless tracking is off."""
    if config.tracking.enabled:
        # Here, so that a job on a cluster does without MLflow's seconds of start-up.
        from er.tracking.publish import publish as publish_to_mlflow

        publish_to_mlflow(run, config.tracking.uri)


def tags(config: Config, sweep: str) -> dict[str, str]:
    """What MLflow shows beside a run; a simulated engine and a virtual clock are always named."""
    deployment = config.deployment
    policy = {"er.routing_policy": config.routing.policy.value} if deployment.routed else {}
    return {
        "er.clock": config.clock.kind.value,
        "er.deployment": deployment.id,
        "er.engine_kind": config.engine.kind,
        "er.study_key": study_key(config),
        "er.sweep": sweep,
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
        if config.clock.kind is ClockKind.real:
            descriptors.check(config.load, config.load.concurrency[-1])
            credentials.check(config.load)
            servers.check(config)
            if config.deployment.routed:
                gateway.check(config.gateway)
    check_inputs(jobs)
    for config in jobs:
        if config.engine.kind in IN_CONTAINER:  # last: to read a checkpoint can take minutes
            kinds.models(config)


def check_inputs(jobs: Sequence[Config]) -> None:
    """The part of `check` that holds wherever the jobs run: corpora are fetched, stores opened.

    A prediction that is there was made from the same inputs.
    """
    for config in jobs:
        if config.clock.kind is ClockKind.virtual and is_done(config):
            continue
        in_container = config.engine.kind in IN_CONTAINER  # of which only a GPU node has all
        if not in_container and not config.capacity:  # where that it does not fit is an answer
            kinds.models(config)
        prompts.check(config.workload, config.load, Path(config.cache_dir))
        require_writable(config.runs_dir)
    check_stores({job.tracking.uri for job in jobs if job.tracking.enabled})
    for job in {repr(job.corpus): job for job in jobs}.values():
        collection.load(job.corpus, Path(job.cache_dir))


def check_stores(uris: Collection[str]) -> None:
    """Raise ErError when one of them cannot be opened."""
    if uris:
        from er.tracking.store import open_store

        for uri in uris:
            open_store(uri)
