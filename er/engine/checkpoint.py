"""Check that a Hugging Face checkpoint is complete and of the right model; compute its digest."""

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
DIGESTS = "checkpoint_digests.json"  # cached digests of files, by path, size and time
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Checkpoint:
    """The path of a checkpoint, and the SHA-256 of the names and contents of its files."""

    path: Path
    digest: str


def checked(path: Path, model: Model, cache_dir: Path) -> Checkpoint:
    """The checkpoint in a directory. Reading all files takes minutes, so digests are cached.

    Raises ErError naming what is missing or different.
    """
    files = complete(path, model)
    return Checkpoint(path, digest(path, sorted(files), cache_dir / DIGESTS))


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
    """SHA-256 of the names and contents of all files below a folder; digests of files are cached.

    Raises ErError when the folder has no files.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise ErError(f"{path} holds no files: set engine.calibration to the folder of a data set")
    return digest(path, files, cache_dir / DIGESTS)


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


def digest(root: Path, files: list[Path], cache_file: Path) -> str:
    """SHA-256 of the paths below `root` and the contents of files.

    A file is read again only when its size or time of change differs from those in `cache_file`.
    """
    known_digests: dict[str, str] = (
        json.loads(cache_file.read_text()) if cache_file.is_file() else {}
    )
    total = hashlib.sha256()
    for file in files:
        stat = file.stat()
        file_state = f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        if file_state not in known_digests:
            known_digests[file_state] = digest_of(file)
        total.update(f"{file.relative_to(root)} {known_digests[file_state]}\n".encode())
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    part = cache_file.with_suffix(".part")
    part.write_text(json.dumps(known_digests, indent=1))
    part.rename(cache_file)
    return total.hexdigest()
