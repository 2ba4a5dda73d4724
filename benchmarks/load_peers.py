"""What the peers of the load generator have in common: how they are installed, run and watched."""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import psutil

WATCH_EVERY_S = 0.5

# A tokenizer of one word, since the model's own would have to be downloaded.
TOKENIZER = {
    "tokenizer.json": {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"word": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
    },
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
    },
}


class Cost(NamedTuple):
    """What a peer took."""

    cpu_s: float
    memory_mb: float  # resident, of all its processes together, at most


def home(cache_dir: Path, name: str) -> Path:
    """Where a peer lives: never in the project's own environment."""
    return (cache_dir / "benchmarks" / name).resolve()


def install(home: Path, *requirements: str) -> None:
    """Make an environment with `requirements`."""
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", *requirements], check=True)


def write_tokenizer(folder: Path) -> None:
    """Write the tokenizer of one word into `folder`/tokenizer."""
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name, content in TOKENIZER.items():
        (folder / "tokenizer" / name).write_text(json.dumps(content))


def run(command: list[str], folder: Path) -> Cost:
    """Run a peer in `folder` to its end. Raises SystemExit, with what it said last, if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = folder / "peer.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        memory_bytes = [0]
        watch = threading.Thread(target=_watch_memory, args=(process, memory_bytes))
        watch.start()
        process.wait()
        watch.join()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed:\n{log.read_text()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(cpu_s, max(memory_bytes) / 1e6)


def _watch_memory(process: "subprocess.Popen[bytes]", memory_bytes: list[int]) -> None:
    """Resident memory of the process and all its children, while it runs."""
    while process.poll() is None:
        try:
            root = psutil.Process(process.pid)
            family = [root, *root.children(recursive=True)]
            memory_bytes.append(sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            continue
        finally:
            threading.Event().wait(WATCH_EVERY_S)
