"""aiperf, as a peer of the load generator: installed apart, run, and its report read."""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil

REQUIREMENT = "aiperf==0.13.0"
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


def environment(cache_dir: Path) -> Path:
    """Where aiperf lives: never the project's own environment."""
    return (cache_dir / "benchmarks" / REQUIREMENT.replace("==", "-")).resolve()


def install(cache_dir: Path) -> None:
    """Install aiperf unless it is there."""
    home = environment(cache_dir)
    if (home / "bin" / "aiperf").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)


def run(
    cache_dir: Path, folder: Path, origin: str, users: int, requests: int, tokens: int
) -> dict[str, Any]:
    """Drive the server at `origin` and return what aiperf reports."""
    home, out = environment(cache_dir), folder / f"aiperf-{users}"
    for name, content in TOKENIZER.items():
        (folder / "tokenizer").mkdir(exist_ok=True)
        (folder / "tokenizer" / name).write_text(json.dumps(content))
    command = f"""{home}/bin/aiperf profile --model truth --url {origin} --endpoint-type chat
        --streaming --concurrency {users} --request-count {requests} --tokenizer ./tokenizer
        --use-legacy-max-tokens --output-tokens-mean {tokens} --synthetic-input-tokens-mean 200
        --artifact-dir {out} --ui none"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command.split(),
        cwd=folder,
        env=os.environ | {"HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    memory_bytes: list[int] = []
    watch = threading.Thread(target=_watch_memory, args=(process, memory_bytes))
    watch.start()
    if process.wait():
        raise SystemExit(f"aiperf failed with exit status {process.returncode}: see {out}/logs")
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return _report(out, users, cpu_s) | {"memory_mb": max(memory_bytes) / 1e6}


def _report(out: Path, users: int, cpu_s: float) -> dict[str, Any]:
    """Its own TTFT; the gaps pooled from its records, since it averages them per request."""
    summary = json.loads((out / "profile_export_aiperf.json").read_text())
    records = map(json.loads, (out / "profile_export.jsonl").read_text().splitlines())
    gaps_s = np.concatenate([r["metrics"]["inter_chunk_latency"]["value"] for r in records]) / 1e3
    tokens = summary["total_osl"]["avg"]
    return {
        "ttft_p50_s": summary["time_to_first_token"]["p50"] / 1e3,
        "ttft_p99_s": summary["time_to_first_token"]["p99"] / 1e3,
        "itl_p50_s": float(np.percentile(gaps_s, 50)),
        "itl_p99_s": float(np.percentile(gaps_s, 99)),
        "in_flight_share": summary["effective_concurrency"]["avg"] / users,
        "cpu_us_per_token": cpu_s / tokens * 1e6,
        "tokens_per_s": tokens / summary["benchmark_duration"]["avg"],
        "doubts": [],
    }


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
