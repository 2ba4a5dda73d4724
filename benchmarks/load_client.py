"""One point of this project's load generator, in a process of its own: prints what it reports.

python -m benchmarks.load_client ORIGIN CLIENT CONCURRENCY REQUESTS_PER_USER TOKENS WORKERS
"""

import json
import resource
import sys

from er.config import Load, LoadClient
from er.load.effort import PointLoad
from er.load.users import run_point
from er.results.request import Endpoint, Prompt

WORDS = 200


def main() -> None:
    """Measure, then report as JSON."""
    origin, client = sys.argv[1], LoadClient(sys.argv[2])
    concurrency, each, tokens, workers = map(int, sys.argv[3:])
    load = Load(
        name="benchmark",
        concurrency=[concurrency],
        requests_per_user=each,
        requests_at_least=1,
        warmup_requests_per_user=0,
        request_timeout_s=60,
        gateway_probes=0,
        max_token_lateness=0.1,
        max_loop_lag_s=0.002,
        client=client,
        workers=str(workers),
    )
    endpoint = Endpoint(f"{origin}/v2/models/truth/generate_stream", "truth")
    prompts = [Prompt(f"{number} " + "word " * WORDS, "", WORDS, tokens) for number in range(100)]
    point = run_point(endpoint, prompts, concurrency, load, lambda _: None)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    workers_bytes = point.peak_rss_bytes * point.processes if client is LoadClient.sockets else 0
    print(json.dumps(report(point, concurrency, load) | {"memory_mb": (own + workers_bytes) / 1e6}))


def report(point: PointLoad, concurrency: int, load: Load) -> dict[str, object]:
    """What this load generator says of the point."""
    import numpy as np  # after the memory was read

    from er.load import proof

    good = [request for request in point.requests if request.ok]
    evidence = proof.prove(point, concurrency)
    gaps = np.concatenate([np.diff(request.token_times_s) for request in good])
    tokens = sum(request.output_tokens for request in good)
    return {
        "errors": len(point.requests) - len(good),
        "ttft_p50_s": float(np.percentile([request.ttft_s for request in good], 50)),
        "ttft_p99_s": float(np.percentile([request.ttft_s for request in good], 99)),
        "itl_p50_s": float(np.percentile(gaps, 50)),
        "itl_p99_s": float(np.percentile(gaps, 99)),
        "in_flight_share": evidence.in_flight_share,
        "cpu_us_per_token": evidence.cpu_us_per_token,
        "loop_lag_p99_s": evidence.loop_lag_p99_s,
        "read_delay_p99_s": evidence.read_delay_p99_s,
        "tokens_per_s": tokens / point.wall_s,
        "doubts": proof.doubts(evidence, load),
    }


if __name__ == "__main__":
    main()
