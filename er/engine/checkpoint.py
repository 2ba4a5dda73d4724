"""A Hugging Face checkpoint on this machine: complete, of the right model, known by its digest."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from er.config import Model
from er.errors import ErError
from er.results.files import digest_of

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
KEPT = "checkpoint_digests.json"
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Checkpoint:
    """Where it is, and SHA-256 over the names and contents of its files."""

    path: Path
    digest: str


def checked(path: Path, model: Model, cache_dir: Path) -> Checkpoint:
    """The checkpoint in a directory. Reading all of it takes minutes, so digests are kept.

    Raises ErError naming what is missing or different.
    """
    files = complete(path, model)
    return Checkpoint(path, digest(path, sorted(files), cache_dir / KEPT))


def complete(path: Path, model: Model) -> list[Path]:
    """The files of a checkpoint, without reading its weights.

    Raises ErError naming what is missing or different.
    """
    if not path.is_dir():
        raise ErError(
            f"checkpoint {path} of {model.name} is missing: accept the Llama 3 licence at "
            "huggingface.co/meta-llama, download the model there (safetensors, config and "
            "tokenizer), and set engine.checkpoint to its directory"
        )
    files = [path / name for name in (*NEEDED, *weight_files(path))]
    for file in files:
        if not file.is_file():
            raise ErError(
                f"checkpoint {path} is not complete: {file.name} is missing; download it again"
            )
    require_model(path, model)
    return files


def folder_digest(path: Path, cache_dir: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, kept like a checkpoint's.

    Raises ErError when there are none.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise ErError(f"{path} holds no files: set engine.calibration to the folder of a data set")
    return digest(path, files, cache_dir / KEPT)


def weight_files(path: Path) -> list[str]:
    """The safetensors files that the checkpoint's index names, and the index itself."""
    if not (path / INDEX).is_file():
        return [SINGLE]
    weight_map: dict[str, str] = json.loads((path / INDEX).read_text())["weight_map"]
    return [INDEX, *sorted(set(weight_map.values()))]


def require_model(path: Path, model: Model) -> None:
    """Raise ErError unless the checkpoint's config.json has the model's shape."""
    config: dict[str, Any] = json.loads((path / "config.json").read_text())
    expected = {
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "hidden_size": model.heads * model.head_dim,
    }
    for name, value in expected.items():
        if config.get(name) != value:
            raise ErError(
                f"checkpoint {path} is of another model: its {name} is {config.get(name)}, "
                f"that of {model.name} is {value}; set engine.checkpoint or deployment"
            )


def digest(root: Path, files: list[Path], kept_at: Path) -> str:
    """SHA-256 over names below `root` and contents, which are read again only when size or time
    changed."""
    known_digests: dict[str, str] = json.loads(kept_at.read_text()) if kept_at.is_file() else {}
    total = hashlib.sha256()
    for file in files:
        stat = file.stat()
        file_state = f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        if file_state not in known_digests:
            known_digests[file_state] = digest_of(file)
        total.update(f"{file.relative_to(root)} {known_digests[file_state]}\n".encode())
    kept_at.parent.mkdir(parents=True, exist_ok=True)
    part = kept_at.with_suffix(".part")
    part.write_text(json.dumps(known_digests, indent=1))
    part.rename(kept_at)
    return total.hexdigest()
