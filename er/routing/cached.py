"""A router for a deployment: trained once for one set of inputs, then read from the cache."""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from er import config
from er.config import require
from er.corpus import collection
from er.errors import ConfigError, ErError
from er.routing import artefact

LIBRARIES = ("numpy", "scikit-learn", "scipy")
BASELINES = ("policy", "shares")  # settings that do not change a trained router
CODE = ("balance.py", "clusters.py", "features.py")  # what a trained router depends on


def router_for(
    routing: config.Routing, corpus: config.Corpus, experts: int, seed: int, cache_dir: Path
) -> Path:
    """Path of the router that these inputs determine; trained when the cache does not have it.

    Raises ConfigError when `routing` is for another number of experts, ErError when the corpus
    cannot be loaded or the cached router is damaged.
    """
    require(
        routing.clusters == experts,
        f"routing.clusters is {routing.clusters}, but there are {experts} experts: leave it out",
    )
    texts = collection.load(corpus, cache_dir)
    metadata: dict[str, Any] = {
        "routing": training_of(routing),
        "corpus": {"name": corpus.name, "digest": collection.digest(texts)},
        "seed": seed,
        "code": code_digest(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    key = hashlib.sha256(
        json.dumps([artefact.FORMAT, metadata], sort_keys=True).encode()
    ).hexdigest()
    path = cache_dir / "routers" / f"{routing.name}-{corpus.name}-{experts}-{key[:16]}.npz"
    if path.exists():
        try:
            artefact.read(path)
        except ConfigError as error:  # nobody named this file
            raise ErError(str(error)) from error
        return path
    # Not at the top: scikit-learn and numba cost a second, which a cached router does not need.
    from er.routing import clusters
    from er.routing.router import save

    trained_on = [text.text for text in texts if text.split == "train"]
    router = clusters.fit(trained_on, routing, seed, metadata)
    save(router, path)
    return path


def training_of(routing: config.Routing) -> dict[str, Any]:
    """What a trained router depends on."""
    return {name: value for name, value in asdict(routing).items() if name not in BASELINES}


def code_digest() -> str:
    """SHA-256 of the code that trains: a router of older code is not reused."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in CODE)).hexdigest()
