"""`python -m er.routing.train routing=balanced routing.clusters=8`.

Trains a router, measures it on the held-out prompts, draws it and records all that in MLflow. A
router that these inputs have made before is not trained again.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from er import cli, compose
from er.config import Config
from er.corpus import collection, jsonl
from er.errors import ConfigError, ErError
from er.options import Command, parse_arguments
from er.results.open_run import require_writable
from er.routing import cached, pictures
from er.routing.evaluate import report, shuffled
from er.routing.measures import evaluate
from er.routing.router import load

# In a process of its own: what trains knows nothing of MLflow.
PUBLISH = (sys.executable, "-m", "er.publish")
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
    require_writable(job.runs_dir)
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
    write_record(job, path, folder)
    pictures.draw(router, asked, measured, folder)
    print(f"trained on {len(texts) - len(asked)} prompts of {job.corpus.name}; held out:")
    print("\n".join(report(measured)))
    print(f"\nrouter: {path}\npictures: {folder}")
    if job.tracking.enabled and subprocess.run([*PUBLISH, str(folder)], check=False).returncode:
        raise ErError("the router is trained, but not published")


def overrides_with_default(overrides: Sequence[str]) -> tuple[str, ...]:
    """The balanced router unless another is named: no experiment asks for the paper's here."""
    named = any(override.startswith("routing=") for override in overrides)
    return ("deployment=d", *([] if named else ["routing=balanced"]), *overrides)


def write_record(job: Config, router: Path, folder: Path) -> None:
    """What `er.publish` needs to know of a router beside its evaluation."""
    settings = {
        "seed": job.seed,
        "corpus": job.corpus.name,
        "routing": cached.training_of(job.routing),
    }
    record = {
        "router": str(router),
        "runs_dir": job.runs_dir,
        "settings": settings,
        "tracking_uri": job.tracking.uri,
    }
    (folder / "router.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(cli.run("er.routing.train", main, "a trained router is kept in the cache"))
