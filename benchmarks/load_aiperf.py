"""aiperf, as a peer of the load generator: installed apart, run, and its report read."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import load_peers

REQUIREMENT = "aiperf==0.13.0"  # 1.2 GB installed


def environment(cache_dir: Path) -> Path:
    """Where it lives."""
    return load_peers.home(cache_dir, REQUIREMENT.replace("==", "-"))


def install(cache_dir: Path) -> None:
    """Install aiperf unless it is there."""
    home = environment(cache_dir)
    if not (home / "bin" / "aiperf").exists():
        load_peers.install(home, REQUIREMENT)


def run(
    cache_dir: Path, folder: Path, origin: str, concurrency: int, requests: int, tokens: int
) -> dict[str, Any]:
    """Drive the server at `origin` and return what aiperf reports."""
    home, out = environment(cache_dir), folder / f"aiperf-{concurrency}"
    load_peers.write_tokenizer(folder)
    command = f"""{home}/bin/aiperf profile --model truth --url {origin} --endpoint-type chat
        --streaming --concurrency {concurrency} --request-count {requests} --tokenizer ./tokenizer
        --use-legacy-max-tokens --output-tokens-mean {tokens} --synthetic-input-tokens-mean 200
        --artifact-dir {out} --ui none"""
    cost = load_peers.run(command.split(), folder)
    return _report(out, concurrency, cost)


def _report(out: Path, concurrency: int, cost: load_peers.Cost) -> dict[str, Any]:
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
        "in_flight_share": summary["effective_concurrency"]["avg"] / concurrency,
        "cpu_us_per_token": cost.cpu_s / tokens * 1e6,
        "tokens_per_s": tokens / summary["benchmark_duration"]["avg"],
        "memory_mb": cost.memory_mb,
        "doubts": [],
    }
