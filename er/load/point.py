"""Measure one concurrency of a deployment, or of any server that speaks one of the dialects."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from er.config import Config, Load
from er.errors import ErError
from er.load import (
    arrivals,
    batches,
    clocks,
    counts,
    gpus,
    other_nodes,
    prompts,
    proof,
    server_side,
    server_watch,
    users,
)
from er.load.effort import PointLoad
from er.process import stopping
from er.results import window
from er.results.point import Point, measure
from er.results.request import Endpoint, Prompt, Request
from er.results.run_dir import RunDir


@dataclass(frozen=True)
class Target:
    """What answers."""

    entry: Endpoint  # where users send
    engines: Sequence[Endpoint] = ()  # whose own counters are read before and after
    gpus: Sequence[int] = ()  # of the engines, on each node, by number: they are sampled
    further: Sequence[str] = ()  # nodes that engines are on besides this one
    load_steps: Sequence[Sequence[str]] = ()  # start commands where the users are; empty: here
    prove: Callable[[], None] = lambda: None  # raises ErError when an engine has died


def measure_point(
    target: Target,
    batch: Sequence[Prompt],
    concurrency: int,
    config: Config,
    run: RunDir,
    on_request: Callable[[Request], None] = lambda _: None,
) -> Point:
    """Measure one concurrency and add it to `run`; invalid when an engine did not survive it.

    Of `config`, the load, the workload and the corpus count. Stopped by TERM in a batch job, it
    is kept with the requests that have ended, and marked as interrupted.
    Raises ErError when an engine has died.
    """
    run.set_aside(concurrency)
    counted = server_side.read(target.engines)
    requests: list[Request] = []

    def keep(request: Request) -> None:
        log.add(request)
        requests.append(request)
        on_request(request)

    try:
        with (
            run.request_log(concurrency) as log,
            other_nodes.watch_nodes(target.further, len(target.gpus)) as others,
            server_watch.watch_servers(target.engines) as watch,
            gpus.watch_gpus(target.gpus) as gpu_watch,
        ):
            load = users.run_point(
                target.entry, batch, concurrency, config.load, keep, target.load_steps
            )
            if not whole(load, concurrency, config.load):
                stopping.end_if_stopped()
        others.add_to(watch, gpu_watch)
        after = server_side.read(target.engines)  # a server on a dead node answers late or never
    except BaseException as error:
        if requests and not isinstance(error, Exception):
            partial = f"interrupted after {len(requests)} requests"
            run.add_point(measure(requests, concurrency, config.load, [partial]))
        raise
    evidence = proof.prove(load, concurrency)
    encoding = prompts.encoding_of(config.workload, Path(config.cache_dir))
    known = asdict(evidence) | counts.known(load.requests, encoding)
    known |= (after.since(counted) if after and counted else {}) | watch.known()
    known |= gpu_watch.known(sum(request.output_tokens for request in load.requests))
    if gpu_watch.samples:
        run.keep_gpu_samples(concurrency, map(asdict, gpu_watch.samples))
    known |= clocks.known(load.clocks)
    lagged = evidence.loop_lag_p99_s > config.load.max_loop_lag_s
    answered = any(request.ok for request in load.requests)
    doubts = proof.doubts(evidence, config.load) if answered else []  # else the errors say it all
    doubts += not_sent(load, concurrency, config.load)
    steady = window.of([request for request in load.requests if request.measured])
    doubts += clocks.doubts(load.clocks, steady.length_s)
    doubts += counts.doubts(load.requests, encoding, config.workload, lagged)
    try:
        target.prove()
    except ErError as error:
        doubts.append(f"after this point {error}")
        raise
    finally:
        point = measure(load.requests, concurrency, config.load, doubts, known)
        point.notes.extend(counts.notes(load.requests, evidence.together_share, lagged))
        point.notes.extend(batches.describe_repeats(config, batch))
        run.add_point(point)
    return point


def not_sent(load: PointLoad, concurrency: int, wanted: Load) -> list[str]:
    """A reason not to believe a point whose users gave up."""
    if wanted.duration_s:
        return []
    asked = arrivals.count_requests(concurrency, wanted)
    missing = asked - sum(request.measured for request in load.requests)
    if missing <= 0 or all(request.ok for request in load.requests):
        return []
    return [f"{missing} of {asked} requests not sent: too many failed in a row"]


def whole(load: PointLoad, concurrency: int, wanted: Load) -> bool:
    """Whether nothing that was to be measured is missing, failed requests aside."""
    if wanted.duration_s:
        return load.wall_s >= wanted.duration_s
    measured = sum(request.measured for request in load.requests)
    return measured >= arrivals.count_requests(concurrency, wanted)
