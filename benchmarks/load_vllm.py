"""vLLM's bench client, as a peer of the load generator: fetched, run, and its report read.

Newer ones (0.8.5 and 0.33.0 were looked at) import vllm.lora and vllm.multimodal for their data
sets, and with them torch: gigabytes of wheels beside vllm's own 336 MB. So this is 0.7.3's
`benchmarks/benchmark_serving.py`, which runs by itself: out of the source distribution, with the
few packages that it imports.
"""

import hashlib
import io
import json
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import load_peers

NAME = "vllm-0.7.3"
SDIST = (
    "https://files.pythonhosted.org/packages/f5/73/"
    f"87825ee293f0e721eb8aadbd0cf9c3436d4e3b3458322878f1f6e7398a0d/{NAME}.tar.gz"
)
SHA256 = "841cc30bd4ffbc037e8b8bf6dbacbedc60cc0b2abb60366873b185159a1204e6"
SCRIPTS = ("benchmark_serving.py", "backend_request_func.py", "benchmark_utils.py")
REQUIREMENTS = (
    "aiohttp==3.14.5",
    "datasets==5.2.0",
    "numpy==2.4.6",
    "pillow==12.3.0",
    "tqdm==4.70.1",
    "transformers==5.23.0",
)


def install(cache_dir: Path) -> None:
    """Fetch the scripts and install what they import, unless they are there."""
    home = load_peers.home(cache_dir, NAME)
    if (home / SCRIPTS[-1]).exists():
        return
    load_peers.install(home, *REQUIREMENTS)
    with urllib.request.urlopen(SDIST) as answer:
        packed = answer.read()
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise SystemExit(f"{SDIST} is not what it was")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for script in SCRIPTS:
            member = archive.extractfile(f"{NAME}/benchmarks/{script}")
            assert member is not None
            (home / script).write_bytes(member.read())


def run(
    cache_dir: Path, folder: Path, origin: str, concurrency: int, requests: int, tokens: int
) -> dict[str, Any]:
    """Drive the server at `origin` and return what vLLM's client reports."""
    home, out = load_peers.home(cache_dir, NAME), folder / f"vllm-{concurrency}"
    load_peers.write_tokenizer(folder)
    command = f"""{home}/bin/python {home}/{SCRIPTS[0]} --backend openai-chat --base-url {origin}
        --endpoint /v1/chat/completions --model truth --tokenizer ./tokenizer
        --dataset-name random --random-input-len 200 --random-output-len {tokens}
        --num-prompts {requests} --max-concurrency {concurrency} --disable-tqdm
        --save-result --result-dir {out}"""
    out.mkdir()
    cost = load_peers.run(command.split(), folder)
    [path] = out.glob("*.json")
    return _report(json.loads(path.read_text()), concurrency, cost)


def _report(result: dict[str, Any], concurrency: int, cost: load_peers.Cost) -> dict[str, Any]:
    """Its own figures, and requests in flight as its own latencies have them."""
    gaps_s = np.concatenate(result["itls"])
    at_work_s = sum(result["ttfts"]) + float(gaps_s.sum())
    tokens = len(gaps_s) + len(result["ttfts"])
    return {
        "ttft_p50_s": result["median_ttft_ms"] / 1e3,
        "ttft_p99_s": result["p99_ttft_ms"] / 1e3,
        "itl_p50_s": float(np.percentile(gaps_s, 50)),
        "itl_p99_s": float(np.percentile(gaps_s, 99)),
        "in_flight_share": at_work_s / result["duration"] / concurrency,
        "cpu_us_per_token": cost.cpu_s / tokens * 1e6,
        "tokens_per_s": tokens / result["duration"],
        "memory_mb": cost.memory_mb,
        "doubts": [],
    }
