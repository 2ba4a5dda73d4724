"""Measure one concurrency of a deployment, or of any server that speaks one of the dialects."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from er.config import Config, Load
from er.corpus.tokenizer import Encoding
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
from er.load.other_nodes import LostNodeError
from er.load.proof import Proof
from er.process import stopping
from er.results import window
from er.results.point import Point, measure
from er.results.request import Endpoint, Prompt, Request
from er.results.run_dir import RunDir


@dataclass(frozen=True)
class Target:
    """The server or deployment that is measured."""

    entry: Endpoint  # where users send
    engines: Sequence[Endpoint] = ()  # whose own counters are read before and after
    gpus: Sequence[int] = ()  # numbers of the engines' GPUs on each node: they are sampled
    further: Sequence[str] = ()  # nodes with engines, besides this one
    load_steps: Sequence[Sequence[str]] = ()  # start commands where the users are; empty: here
    load_nodes: Sequence[str] = ()  # which those are
    prove: Callable[[], None] = lambda: None  # raises ErError when an engine has died


def measure_point(
    target: Target,
    batch: Sequence[Prompt],
    concurrency: int,
    config: Config,
    run: RunDir,
    on_request: Callable[[Request], None] = lambda _: None,
) -> Point:
    """Measure one concurrency and add its point to `run`, invalid when an engine did not survive.

    Only the load, the workload and the corpus of `config` matter. When TERM stops a batch job, or a
    node of it is lost, the point is kept with the requests that have ended, and marked as
    interrupted. Raises ErError when an engine has died, and LostNodeError for a node.
    """
    run.set_aside(concurrency)
    load, server_evidence = _send_load(target, batch, concurrency, config, run, on_request)
    own = proof.prove(load, concurrency)
    encoding = prompts.encoding_of(config.workload, Path(config.cache_dir))
    evidence = asdict(own) | counts.evidence(load.requests, encoding)
    evidence |= server_evidence | clocks.evidence(load.clocks)
    lagged = own.loop_lag_p99_s > config.load.max_loop_lag_s
    doubts = _find_doubts(load, own, encoding, concurrency, config)
    try:
        target.prove()
    except ErError as error:
        doubts.append(f"after this point {error}")
        raise
    finally:
        point = measure(load.requests, concurrency, config.load, doubts, evidence)
        point.notes.extend(counts.notes(load.requests, own.together_share, lagged))
        point.notes.extend(batches.describe_repeats(config, batch))
        run.add_point(point)
    return point


def _send_load(
    target: Target,
    batch: Sequence[Prompt],
    concurrency: int,
    config: Config,
    run: RunDir,
    on_request: Callable[[Request], None],
) -> tuple[PointLoad, dict[str, float]]:
    """Send the load while servers and GPUs are watched: what users saw, and what servers reported.

    Requests are written to `run` as they end. An interruption adds a point that is marked so.
    """
    before = server_side.read(target.engines)
    requests: list[Request] = []

    def keep(request: Request) -> None:
        log.add(request)
        requests.append(request)
        on_request(request)

    try:
        with (
            run.request_log(concurrency) as log,
            other_nodes.watch_nodes(target.further, len(target.gpus), target.load_nodes) as others,
            server_watch.watch_servers(target.engines) as servers,
            gpus.watch_gpus(target.gpus) as gpu_watch,
        ):
            load = users.run_point(
                target.entry, batch, concurrency, config.load, keep, target.load_steps
            )
            if not _is_complete(load, concurrency, config.load):
                stopping.end_if_stopped()
        others.add_to(servers, gpu_watch)
        after = server_side.read(target.engines)  # a server on a dead node answers late or never
    except BaseException as error:
        lost = isinstance(error, LostNodeError)
        if requests and (lost or not isinstance(error, Exception)):
            why = f": {error}" if lost else ""
            partial = f"interrupted after {len(requests)} requests{why}"
            run.add_point(measure(requests, concurrency, config.load, [partial]))
        raise
    if gpu_watch.samples:
        run.keep_gpu_samples(concurrency, map(asdict, gpu_watch.samples))
    counted = after.since(before) if after and before else {}
    tokens = sum(request.output_tokens for request in load.requests)
    return load, counted | servers.evidence() | gpu_watch.evidence(tokens)


def _find_doubts(
    load: PointLoad, own: Proof, encoding: Encoding, concurrency: int, config: Config
) -> list[str]:
    """Reasons to call the point invalid that do not follow from its own figures."""
    answered = any(request.ok for request in load.requests)
    doubts = (
        proof.doubts(own, config.load) if answered else []
    )  # without answers, errors say it all
    doubts += _describe_missing(load, concurrency, config.load)
    steady = window.of([request for request in load.requests if request.measured])
    doubts += clocks.doubts(load.clocks, steady.length_s)
    lagged = own.loop_lag_p99_s > config.load.max_loop_lag_s
    return doubts + counts.doubts(load.requests, encoding, config.workload, lagged)


def _describe_missing(load: PointLoad, concurrency: int, settings: Load) -> list[str]:
    """A reason not to believe a point whose users gave up before all requests were sent."""
    if settings.duration_s:
        return []
    expected = arrivals.count_requests(concurrency, settings)
    missing = expected - sum(request.measured for request in load.requests)
    if missing <= 0 or all(request.ok for request in load.requests):
        return []
    return [f"{missing} of {expected} requests not sent: too many failed in a row"]


def _is_complete(load: PointLoad, concurrency: int, settings: Load) -> bool:
    """Whether every request that was to be measured was sent, answered or not."""
    if settings.duration_s:
        return load.wall_s >= settings.duration_s
    measured = sum(request.measured for request in load.requests)
    return measured >= arrivals.count_requests(concurrency, settings)
