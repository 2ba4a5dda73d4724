"""`python -m er.routing.train routing=balanced routing.clusters=8`.

Trains a router, measures it on the held-out prompts, draws it and records all that in MLflow. A
router that these inputs have made before is not trained again.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from er import cli, compose
from er.config import Config
from er.corpus import collection, jsonl
from er.errors import ConfigError
from er.options import Command, parse_arguments
from er.results.labels import flatten
from er.routing import cached, pictures
from er.routing.evaluate import report, shuffled
from er.routing.measures import Evaluation, evaluate
from er.routing.router import load
from er.tracking import mlflow_store

EXPERIMENT = "routers"
COMMAND = Command(
    "er.routing.train",
    "Train a router, measure it on held-out prompts, draw it and publish all that. The router is "
    "the balanced one, with 8 clusters, unless another is named.",
    """
    python -m er.routing.train routing=cbtm routing.clusters=4
    python -m er.routing.train corpus=jsonl corpus.path=prompts.jsonl
    """,
    groups=("corpus", "routing", "tracking"),
)


def main() -> None:
    """Train, print what came out, and publish it."""
    arguments = parse_arguments(COMMAND, sys.argv[1:])
    arguments = replace(arguments, overrides=overrides_with_default(arguments.overrides))
    if arguments.for_hydra:
        compose.show(arguments)
        return
    jobs = compose.jobs_for(arguments)
    if len(jobs) > 1:
        raise ConfigError("one router is trained at a time: leave out -m and +experiment")
    job = jobs[0].config
    cache_dir = Path(job.cache_dir)
    path = cached.router_for(job.routing, job.corpus, job.routing.clusters, job.seed, cache_dir)
    texts = collection.load(job.corpus, cache_dir)
    held_out = shuffled(jsonl.Labelled(t.text, t.topic) for t in texts if t.split == "test")
    asked = [prompt.text for prompt in held_out]
    router = load(path)
    labels = [str(prompt.label) for prompt in held_out]
    measured = evaluate(router, asked, labels if any(labels) else None)
    folder = Path(job.runs_dir) / "routers" / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(asdict(measured), indent=1))
    drawn = pictures.draw(router, asked, measured, folder)
    print(f"trained on {len(texts) - len(asked)} prompts of {job.corpus.name}; held out:")
    print("\n".join(report(measured)))
    print(f"\nrouter: {path}\npictures: {folder}")
    if job.tracking.enabled:
        publish(job, path, measured, [folder / "evaluation.json", *drawn])
        print(f"published: experiment {EXPERIMENT} in {job.tracking.uri}")


def overrides_with_default(overrides: Sequence[str]) -> tuple[str, ...]:
    """The balanced router unless another is named: no experiment asks for the paper's here."""
    named = any(override.startswith("routing=") for override in overrides)
    return ("deployment=d", *([] if named else ["routing=balanced"]), *overrides)


def publish(job: Config, router: Path, measured: Evaluation, files: Sequence[Path]) -> None:
    """Record a trained router in MLflow.

    Raises ErError when the store cannot be opened; the router stays in the cache.
    """
    metrics = {"load_max_over_mean": measured.peak}
    if measured.agreement:
        metrics |= asdict(measured.agreement)
    settings = {
        "seed": job.seed,
        "corpus": job.corpus.name,
        "routing": cached.training_of(job.routing),
    }
    client = mlflow_store.open_store(job.tracking.uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    artifacts = (Path(job.runs_dir) / "mlartifacts" / EXPERIMENT).absolute().as_uri()
    experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT, artifacts)
    run_id = client.create_run(experiment, run_name=router.stem).info.run_id
    for name, value in flatten(settings):
        client.log_param(run_id, name, value)
    for name, number in metrics.items():
        client.log_metric(run_id, name, number)
    for file in [router, *files]:
        client.log_artifact(run_id, str(file))
    client.set_terminated(run_id)


if __name__ == "__main__":
    sys.exit(cli.run("er.routing.train", main, "a trained router is kept in the cache"))
