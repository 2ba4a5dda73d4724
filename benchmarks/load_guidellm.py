"""guidellm, as a peer of the load generator: installed apart, run, and its report read.

It brings torch, and with it 6 GB. It keeps no gap between two tokens, only a mean for each request:
its ITL percentiles are of those means, which hide stalls.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks import load_peers

REQUIREMENT = "guidellm==0.8.1"


def environment(cache_dir: Path) -> Path:
    """Where it lives."""
    return load_peers.home(cache_dir, REQUIREMENT.replace("==", "-"))


def install(cache_dir: Path) -> None:
    """Install guidellm unless it is there."""
    home = environment(cache_dir)
    if not (home / "bin" / "guidellm").exists():
        load_peers.install(home, REQUIREMENT)


def run(
    cache_dir: Path, folder: Path, origin: str, concurrency: int, requests: int, tokens: int
) -> dict[str, Any]:
    """Drive the server at `origin` and return what guidellm reports."""
    home, out = environment(cache_dir), folder / f"guidellm-{concurrency}.json"
    load_peers.write_tokenizer(folder)
    backend = f"kind=openai_http,target={origin},model=truth,http2=false,validate_backend=false"
    command = f"""{home}/bin/guidellm run --backend {backend},max_tokens={tokens}
        --profile kind=concurrent,streams={concurrency}
        --constraint kind=max_requests,count={requests}
        --tokenizer kind=hf_auto,model=./tokenizer
        --data kind=synthetic_text,prompt_tokens=200,output_tokens={tokens}
        --output kind=json,path={out} --disable-console"""
    cost = load_peers.run(command.split(), folder)
    [benchmark] = json.loads(out.read_text())["benchmarks"]
    return _report(benchmark, concurrency, cost)


def _report(benchmark: dict[str, Any], concurrency: int, cost: load_peers.Cost) -> dict[str, Any]:
    """Its own figures; doubts where requests failed or were left unfinished."""
    metrics = {name: of["successful"] for name, of in benchmark["metrics"].items() if _is_split(of)}
    ttft_ms, itl_ms = metrics["time_to_first_token_ms"], metrics["inter_token_latency_ms"]
    tokens = metrics["output_token_count"]["total_sum"]
    lost = len(benchmark["requests"]["errored"]) + len(benchmark["requests"]["incomplete"])
    return {
        "ttft_p50_s": ttft_ms["median"] / 1e3,
        "ttft_p99_s": ttft_ms["percentiles"]["p99"] / 1e3,
        "itl_p50_s": itl_ms["median"] / 1e3,
        "itl_p99_s": itl_ms["percentiles"]["p99"] / 1e3,
        "in_flight_share": metrics["request_concurrency"]["mean"] / concurrency,
        "cpu_us_per_token": cost.cpu_s / tokens * 1e6,
        "tokens_per_s": tokens / benchmark["duration"],
        "memory_mb": cost.memory_mb,
        "doubts": [f"{lost} requests failed or were not ended"] if lost else [],
    }


def _is_split(metric: Any) -> bool:
    """Whether it is a distribution, told apart by how requests ended."""
    return isinstance(metric, dict) and isinstance(metric.get("successful"), dict)
