"""Keys depend on everything that decides a point, and on nothing else."""

import ast
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
    "gateway.limits.body_bytes": 9999,
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


def test_the_cluster_is_in_the_key_only_where_it_puts_a_network_between_users_and_servers() -> None:
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


def test_deployments_of_one_study_share_its_key() -> None:
    a, e = config_of(["deployment=a"]), config_of(["deployment=e"])

    assert run_key(a) != run_key(e)
    assert study_key(a) == study_key(e)
    assert study_key(changed(a, "seed", 1)) != study_key(e)


def test_a_file_is_in_the_key_by_its_content_not_its_path(tmp_path: Path) -> None:
    run_keys = {}
    for name, text in (("one", "1"), ("copy", "1"), ("two", "2")):
        path = tmp_path / name
        path.write_text(f'{{"text": "{text}"}}\n')
        run_keys[name] = run_key(config_of(["workload=jsonl", f"workload.path={path}"]))

    assert run_keys["one"] == run_keys["copy"] != run_keys["two"]


def test_digests_of_engine_and_corpus_are_in_the_key() -> None:
    config = config_of(REAL)
    assert len({run_key(config, *digests) for digests in (("", ""), ("x", ""), ("", "x"))}) == 3


def test_the_digest_of_code_ignores_comments_and_layout(tmp_path: Path) -> None:
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
def test_code_that_only_shows_results_is_not_in_the_digest(shows: str) -> None:
    for parts in (code.MEASURES, code.SIMULATES):
        assert f"study/{shows}.py" not in names(parts)


def test_code_that_measures_or_simulates_is_in_its_digest() -> None:
    assert {"load/sockets.py", "gateway/serve.py", "study/measured.py"} <= names(code.MEASURES)
    assert {"simulation/windows.py", "study/predicted.py"} <= names(code.SIMULATES)
    assert not {"gateway/serve.py", "study/measured.py"} & names(code.SIMULATES)
    assert all((code.PACKAGE / name).is_file() for name in code.EXCLUDED)


def test_every_module_that_a_point_is_computed_with_is_in_the_digest() -> None:
    computes, found = {"point"}, set[str]()
    while computes - found:
        module = min(computes - found)
        found.add(module)
        tree = ast.parse((code.PACKAGE / "results" / f"{module}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "er.results":
                computes |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("er.results."):
                computes.add(str(node.module).removeprefix("er.results."))
    files = {f"results/{module}.py" for module in found - {"words"}}  # words only writes messages
    assert {"results/request.py", "results/window.py"} <= files
    assert files <= names(code.MEASURES)
    assert files <= names(code.SIMULATES)


def names(parts: list[str]) -> set[str]:
    return {path.relative_to(code.PACKAGE).as_posix() for path in code.files_of(parts)}
