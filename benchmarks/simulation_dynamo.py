"""NVIDIA Dynamo's offline replay, as a peer of the virtual clock: installed apart, and run.

Its mock engine in TensorRT-LLM mode (GUARANTEED_NO_EVICT, prefix cache) with its own step times,
whole prompts, 8 engines asked in turn. Each prompt is told as a line of a trace in Mooncake's form.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from er.simulation.limits import Limits

REQUIREMENT = "ai-dynamo-runtime==1.6.1"
REPLAY = """
import json, sys
from dynamo._core import run_mocker_trace_replay
asked = json.load(sys.stdin)
print(json.dumps(run_mocker_trace_replay(**asked).summary))
"""


def install(cache_dir: Path) -> Path:
    """The interpreter that has Dynamo, never the project's own; installs it unless it is there."""
    home = (cache_dir / "benchmarks" / REQUIREMENT.replace("==", "-")).resolve()
    done = home / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)
        done.touch()
    return home / "bin" / "python"


def replay(
    python: Path,
    folder: Path,
    engines: int,
    limits: Limits,
    users: int,
    prompts: Iterable[tuple[int, int]],
) -> dict[str, Any]:
    """What Dynamo reports of a closed loop of `users` that sends prompts of so many tokens in and
    out; `wall_time_ms` is what the replay itself took, without reading the trace."""
    trace = folder / f"trace-{users}.jsonl"
    block, lines = 0, []
    for input_tokens, output_tokens in prompts:
        blocks = -(-input_tokens // limits.tokens_per_block)
        line = {
            "timestamp": 0,
            "input_length": input_tokens,
            "output_length": output_tokens,
            "hash_ids": [*range(block, block + blocks)],
        }
        lines.append(json.dumps(line))
        block += blocks
    trace.write_text("\n".join(lines) + "\n")
    engine = {
        "backend": "trtllm",
        "num_gpu_blocks": limits.kv_blocks,
        "block_size": limits.tokens_per_block,
        "max_num_seqs": limits.max_batch_size,
        "max_num_batched_tokens": limits.max_num_tokens,
        "enable_prefix_caching": True,
        "enable_chunked_prefill": False,
        "trtllm": {"capacity_scheduler_policy": "guaranteed_no_evict"},
    }
    asked = {
        "trace_files": [str(trace)],
        "extra_engine_args": {"engine": engine},
        "num_workers": engines,
        "replay_concurrency": users,
        "trace_block_size": limits.tokens_per_block,
        "capture_planner_details": False,
    }
    done = subprocess.run(
        [python, "-c", REPLAY], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary
