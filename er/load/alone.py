"""The load generator by itself, against any server that streams tokens."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from er.config import Config
from er.config.plain import plain
from er.corpus import collection
from er.errors import ErError
from er.load import arrivals, counts, knee, prompts, proof, users
from er.results import provenance
from er.results.keys import run_key
from er.results.point import Point, measure
from er.results.request import Endpoint, Prompt
from er.results.run_dir import RunDir

STUDY = "load"

HEADING = (
    f"{'users':>6} {'requests':>8} {'errors':>6} {'TTFT p50':>9} {'p95 ms':>8} {'TPOT p50':>9} "
    f"{'p95 ms':>8} {'ITL p99':>8} {'E2E p50 s':>9} {'tokens/s':>9} {'goodput':>8} {'CPU':>5} valid"
)


def drive(endpoint: Endpoint, config: Config, run: RunDir, say: Callable[[str], None]) -> None:
    """Measure `endpoint` at every concurrency, or at those that find its knee; keeps all in `run`.

    Of `config`, the load, the workload and the corpus count.
    Raises ErError when the prompts cannot be made.
    """
    say(f"run directory: {run.path}")
    say("preparing prompts")
    brings_texts = config.workload.kind == "jsonl"
    corpus_of_run = [] if brings_texts else collection.load(config.corpus, Path(config.cache_dir))
    texts = [(text.topic, text.text) for text in corpus_of_run]
    say(HEADING)

    def point_at(concurrency: int) -> Point:
        batch = prompts.build(
            texts,
            config.workload,
            arrivals.requests_of(concurrency, config.load),
            config.seed + concurrency,
            Path(config.cache_dir),
            arrivals.lengths_of(config.load),
        )
        return measure_point(endpoint, run, concurrency, batch, config, say)

    try:
        found = knee.walk(config.load, point_at)
        if found:
            run.write("knee.json", asdict(found))
            say(knee.described(found))
    except BaseException as error:
        run.set_status("failed" if isinstance(error, Exception) else "interrupted")
        raise
    run.set_status("finished")


def measure_point(
    endpoint: Endpoint,
    run: RunDir,
    concurrency: int,
    batch: Sequence[Prompt],
    config: Config,
    say: Callable[[str], None],
) -> Point:
    """Measure one concurrency, keep it, and say it in one line, with a line for each doubt."""
    with run.request_log(concurrency) as log:
        load = users.run_point(endpoint, batch, concurrency, config.load, log.add)
    evidence = proof.prove(load, concurrency)
    encoding = prompts.encoding_of(config.workload, Path(config.cache_dir))
    doubts = proof.doubts(evidence, config.load)
    doubts += counts.doubts(load.requests, encoding, config.workload)
    point = measure(load.requests, concurrency, config.load, doubts, asdict(evidence))
    run.add_point(point)
    say(row(point))
    for reason in point.invalid:
        say(f"       {reason}")
    return point


def row(point: Point) -> str:
    """One line of the table."""
    return (
        f"{point.concurrency:6d} {point.requests:8d} {point.errors:6d} "
        f"{point.ttft_s.p50 * 1e3:9.1f} {point.ttft_s.p95 * 1e3:8.1f} "
        f"{point.tpot_s.p50 * 1e3:9.1f} {point.tpot_s.p95 * 1e3:8.1f} {point.itl_s.p99 * 1e3:8.1f} "
        f"{point.e2e_s.p50:9.2f} {point.tokens_per_s:9.0f} {point.goodput:8.1%} "
        f"{point.client['cpu_share']:5.0%} "
        f"{'NO' if point.invalid else 'yes'}"
    )


def create(endpoint: Endpoint, config: Config) -> RunDir:
    """A new run directory, of the shape that `er.publish` takes to MLflow.

    Raises ErError when it cannot be written, or the workload or the trace cannot be sent.
    """
    prompts.check(config.workload, config.load, Path(config.cache_dir))
    started = datetime.now(UTC)
    path = Path(config.runs_dir) / STUDY / started.strftime("%Y%m%dT%H%M%S.%f")
    run = RunDir(path)
    asked = {
        "study": STUDY,
        "target": asdict(endpoint),
        "seed": config.seed,
        "runs_dir": config.runs_dir,
        "corpus": config.corpus,
        "workload": config.workload,
        "load": config.load,
        "tracking": config.tracking,
    }
    key = run_key(config)
    tags = {
        "er.clock": "real",
        "er.deployment": endpoint.model,
        "er.engine_kind": "external",
        "er.study_key": key,
        "er.title": endpoint.url,
        "er.workload": config.workload.description,
    }
    record = {
        "status": "running",
        "started": started.isoformat(timespec="seconds"),
        "key": key,
        "tags": tags,
    }
    try:
        for folder in ("requests", "logs"):
            (path / folder).mkdir(parents=True)
        run.write("config.json", plain(asked))
        run.write("provenance.json", provenance.collect())
        run.write("run.json", record)
    except OSError as error:
        raise ErError(
            f"cannot write runs to {config.runs_dir}: {error.strerror}: "
            "make it a directory you may write to, or set runs_dir=..."
        ) from error
    return run
