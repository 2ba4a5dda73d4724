"""Run the load generator alone, against any server that streams tokens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from er.config import Config, JsonlWorkload
from er.errors import ErError
from er.load import batches, inspect, knee, prompt_files, prompts, trace
from er.load.point import Target, measure_point
from er.load.table import INDENT, Table
from er.results import names, provenance, sqlite_file
from er.results.keys import run_key
from er.results.open_run import open_run as open_run_dir
from er.results.point import Point
from er.results.request import Endpoint
from er.results.run_dir import RunDir
from er.results.terminal import PLAIN_WIDTH

STUDY = "load"


class NoAnswerError(ErError):
    """The server answered no request, so there is nothing to publish or to draw."""


# Advice for the cause of an error that contains a text; the first match counts.
ADVICE = (
    ("connection refused", "start the server, or correct host and port of target="),
    ("host name not found", "correct the host of target="),
    ("TLS failed", "correct https:// in target=, or take any certificate: load.tls_verify=false"),
    ("HTTP 401", "see what key it wants"),
    ("HTTP 403", "see what key it wants"),
    ("HTTP 404", "correct the path of target=, or the model in it"),
    ("HTTP 3", "give the address that it names"),
    ("timeout", "see whether it works, or raise load.request_timeout_s"),
    ("no event stream", "give the address of a dialect that er.load --help names"),
)


def measure_ladder(
    endpoint: Endpoint,
    config: Config,
    run: RunDir,
    report: Callable[[str], None],
    width: int = PLAIN_WIDTH,
) -> None:
    """Measure `endpoint` at every concurrency, or at those that find its knee, and write to `run`.

    `report` gets each line of output; the table is at most `width` characters wide. Only the load,
    the workload and the corpus of `config` matter.
    Raises NoAnswerError when every request of the first point failed, and ErError when the prompts
    cannot be made.
    """
    report(f"run directory: {run.path}")
    report("preparing prompts")
    if config.load.trace:
        for line in inspect.describe(trace.source_of(config.load)):
            report(line)
    if isinstance(config.workload, JsonlWorkload):
        for line in inspect.unused_columns(prompt_files.unused(Path(config.workload.path))):
            report(line)
    table = Table(width)
    for line in table.heading():
        report(line)

    def point_at(concurrency: int) -> Point:
        batch = batches.build_batch(config, concurrency)
        point = measure_point(Target(endpoint), batch, concurrency, config, run)
        report(table.row(point))
        for reason in [*point.invalid, *point.notes]:
            report(f"{INDENT}{reason}")
        if not config.load.find_knee and concurrency == config.load.concurrency[0]:
            require_answer(point, endpoint)
        return point

    try:
        result = knee.walk(config.load, point_at)
        if result:
            run.write(names.KNEE, asdict(result))
            report(knee.describe(result))
    except BaseException as error:
        run.end_early(error)
        raise
    run.end("finished")


def require_answer(point: Point, endpoint: Endpoint) -> None:
    """Raise NoAnswerError, with advice for the most frequent cause, when every request failed."""
    if point.errors < point.requests or not point.error_causes:
        return
    cause = max(point.error_causes, key=lambda name: point.error_causes[name])
    advice = next((advice for sign, advice in ADVICE if sign in cause), "see its log")
    raise NoAnswerError(f"{endpoint.url} answered no request well ({cause}): {advice}")


@contextmanager
def open_run(endpoint: Endpoint, config: Config) -> Iterator[RunDir]:
    """Open a new run directory, in the form that `er.publish` reads.

    Raises ErError when it cannot be written, or when the workload or the trace cannot be sent.
    """
    prompts.check(config.workload, config.load, Path(config.cache_dir))
    batches.read_texts(config)
    if config.tracking.enabled:
        sqlite_file.check(config.tracking.uri)
    settings = {
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
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    with open_run_dir(Path(config.runs_dir) / STUDY, name, key, resume=False) as run:
        run.begin(settings, provenance.collect(), tags)
        yield run
