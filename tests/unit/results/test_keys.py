"""Keys follow what decides a point, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from er import compose
from er.config import Config
from er.config.plain import plain
from er.results import code, keys
from er.results.keys import run_key, study_key
from er.results.labels import flatten

REAL = ["deployment=e"]
VIRTUAL = [*REAL, "clock=virtual"]
ELSEWHERE = {
    "gateway.port": 9999,
    "gateway.host": "0.0.0.0",
    "gateway.admin_port": 9999,
    "gateway.timeouts.connect_s": 99.0,
    "gateway.limits.body_bytes": 99,
    "gateway.api_keys_file": "keys",
    "gateway.ready_timeout_s": 99.0,
    "server.http_port": 9999,
    "server.stop_timeout_s": 99.0,
    "load.request_timeout_s": 99.0,
    "load.tls_verify": False,
    "load.concurrency": [1, 3],
    "load.name": "mine",
    "study": "mine",
    "figures": ["fig2"],
    "tracking.uri": "sqlite:///elsewhere.db",
    "runs_dir": "elsewhere",
    "cache_dir": "elsewhere",
    "deployment.id": "mine",
    "workload.description": "mine",
    "corpus.name": "mine",
}


def config_of(overrides: list[str]) -> Config:
    [config] = compose.plan(overrides)
    return config


def changed(config: Config, name: str, value: object) -> Config:
    """The configuration with another value; no rule is checked."""
    owner: Any = config
    *groups, last = name.split(".")
    for group in groups:
        owner = getattr(owner, group)
    assert hasattr(owner, last)
    setattr(owner, last, value)
    return config


def leaves(config: Config) -> Iterator[tuple[str, object]]:
    """Every value that is not another section."""
    for name, value in flatten(plain(config)):
        owner: Any = config
        for group in name.split("."):
            owner = getattr(owner, group, None)
        if owner is not None and not isinstance(value, list | dict):
            yield name, value


@pytest.mark.parametrize("overrides", [REAL, VIRTUAL], ids=["real", "virtual"])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_decides_no_point_is_in_no_key(overrides: list[str], name: str) -> None:
    before = config_of(overrides)
    after = changed(config_of(overrides), name, ELSEWHERE[name])

    assert run_key(after) == run_key(before)
    assert study_key(after) == study_key(before)


def test_where_a_job_runs_is_in_no_key_but_a_load_generator_elsewhere_is() -> None:
    here = run_key(config_of(REAL))
    slurm = [*REAL, "cluster=slurm"]

    assert run_key(config_of([*slurm, "cluster.partition=x"])) == here
    sends = "cluster.load_node=true"
    places = [[sends], [sends, "cluster.load_nodes=2"], ["cluster.nodes=2"]]
    spread = [run_key(config_of([*slurm, *overrides])) for overrides in places]
    assert len({here, *spread}) == 4
    virtual = [*VIRTUAL, "cluster=slurm", "cluster.load_node=true"]
    assert run_key(config_of(virtual)) == run_key(config_of(VIRTUAL))


def test_every_other_value_is_in_the_key() -> None:
    before = run_key(config_of(REAL))
    left_out = set()
    for name, value in leaves(config_of(REAL)):
        other = f"{value}x" if isinstance(value, str) else (value or 0) + 1  # type: ignore[operator]
        if name in ("load.trace", "corpus.path", "clock.kind"):
            continue  # a file must be there; a kind must be known
        if run_key(changed(config_of(REAL), name, other)) == before:
            left_out.add(name)

    sections = {name for name in left_out if name.split(".")[0] in ("clock", *keys.NAMES)}
    sections |= {
        name for name in left_out if name.startswith(("gateway.timeouts", "gateway.limits"))
    }
    assert left_out - sections <= set(ELSEWHERE) | {
        "server.ready_timeout_s",
        "server.grpc_port",
        "server.metrics_port",
        "workload.name",
        "gateway.service_s",
        "deployment.replicas",
    }


def test_a_study_holds_deployments_against_each_other() -> None:
    a, e = config_of(["deployment=a"]), config_of(["deployment=e"])

    assert run_key(a) != run_key(e)
    assert study_key(a) == study_key(e)
    assert study_key(changed(a, "seed", 1)) != study_key(e)


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    asked = {}
    for name, text in (("one", "1"), ("copy", "1"), ("two", "2")):
        path = tmp_path / name
        path.write_text(f'{{"text": "{text}"}}\n')
        asked[name] = run_key(config_of(["workload=jsonl", f"workload.path={path}"]))

    assert asked["one"] == asked["copy"] != asked["two"]


def test_engines_and_corpora_are_known_by_their_digests() -> None:
    config = config_of(REAL)
    assert len({run_key(config, *digests) for digests in (("", ""), ("x", ""), ("", "x"))}) == 3


def test_a_comment_keeps_the_digest_and_a_change_does_not(tmp_path: Path) -> None:
    (tmp_path / "load").mkdir()
    file = tmp_path / "load" / "loop.py"
    digests = []
    for text in (
        "def f(x):\n    return x + 1\n",
        '"""Says."""\n\n\ndef f(x):\n    """More."""\n    # why\n    return (x + 1)\n',
        "def f(x):\n    return x + 2\n",
    ):
        file.write_text(text)
        digests.append(code.digest(code.files_of(["load"], tmp_path)))

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("shows", ["summary", "progress", "job", "known"])
def test_what_shows_results_is_not_among_what_measures(shows: str) -> None:
    for parts in (code.MEASURES, code.SIMULATES):
        assert f"study/{shows}.py" not in names(parts)


def test_what_measures_is_there() -> None:
    assert {"load/sockets.py", "gateway/serve.py", "study/measured.py"} <= names(code.MEASURES)
    assert {"simulation/windows.py", "study/predicted.py"} <= names(code.SIMULATES)
    assert not {"gateway/serve.py", "study/measured.py"} & names(code.SIMULATES)
    assert all((code.PACKAGE / name).is_file() for name in code.APART)


def names(parts: list[str]) -> set[str]:
    return {path.relative_to(code.PACKAGE).as_posix() for path in code.files_of(parts)}
