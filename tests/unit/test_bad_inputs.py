"""What a user may give wrong to any command: exit code 2, and one line that names it."""

import json
import os
import re
import zipfile
from pathlib import Path

import pytest

from tests.unit.test_cli import exit_code

TARGET = "target=http://127.0.0.1:9/v1/completions"
URL, REPLICA = "http://127.0.0.1:9/v1", "http://127.0.0.1:1/v1"
GATEWAY = (
    "er.gateway deployment=e deployment.experts=2 cache_dir={w}/none "
    f"gateway.experts=[{URL},{URL}]"
)
# Arguments, {w} for the folder of `files`; what the line says.
CASES = [
    # Files that are missing, none, or of another kind.
    ("er.load inspect={w}/absent", "cannot read {w}/absent (No such file or directory)"),
    ("er.load inspect={w}/dir", "{w}/dir is not a file"),
    ("er.load inspect={w}/empty", "{w}/empty holds no arrivals"),
    ("er.load inspect={w}/latin", "{w}/latin is not UTF-8"),
    ("er.load inspect=/proc/self/mem", "cannot read /proc/self/mem (Input/output error)"),
    ("er.load inspect={w}/list.json", "{w}/list.json, entry 1, is not a JSON object"),
    (f"er.load {TARGET} load=trace load.trace={{w}}/absent", "cannot read {w}/absent"),
    (f"er.load {TARGET} workload=jsonl workload.path={{w}}/empty", "{w}/empty holds no prompts"),
    (f"er.load {TARGET} workload.tokenizer={{w}}/list.json", "list.json is not a tokenizer.json"),
    (f"er.load {TARGET} corpus=jsonl corpus.path={{w}}/absent", "cannot read {w}/absent"),
    (f"er.load {TARGET} corpus=jsonl corpus.path={{w}}/latin", "{w}/latin is not UTF-8"),
    (f"er.load {TARGET} tracking.uri=sqlite:///{{w}}/latin", "is not an SQLite database"),
    ("er.run clock=virtual load=trace load.trace={w}/absent", "load.trace is {w}/absent: No such"),
    ("er.run job={w}/absent", "job={w}/absent cannot be read: No such file"),
    ("er.run job={w}/latin", "job={w}/latin is not a job that er wrote"),
    ("er.build job={w}/dir", "job={w}/dir cannot be read: Is a directory"),
    ("er.bundle import {w}/absent", "cannot read {w}/absent: No such file or directory"),
    ("er.bundle import {w}/latin", "{w}/latin is not a bundle of er, or is damaged"),
    (
        "er.bundle import {w}/broken.zip",
        "{w}/broken.zip is not a bundle of er: manifest.json is not",
    ),
    ("er.bundle import {w}/bare.zip", "{w}/bare.zip is not a bundle of er: manifest.json names no"),
    ("er.bundle import {w}/bare.zip runs_dir={w}/empty", "runs_dir is '{w}/empty': give a folder"),
    ("er.bundle export ladder {w}/dir", "{w}/dir cannot be written: give a file"),
    ("er.bundle pin ladder {w}/empty/x.yaml", "{w}/empty/x.yaml cannot be written"),
    ("er.diff {w}/dir {w}/dir", "{w}/dir is no run directory: it has no run.json"),
    ("er.diff {w}/absent x", "{w}/absent is no run directory"),
    ("er.publish {w}/dir", "{w}/dir is no directory of a run or a router"),
    ("er.capacity {w}/absent", "{w}/absent holds no search for capacity"),
    ("er.capacity --write {w}/absent", "cannot write into {w}/absent: No such file"),
    ("er.table1 --write {w}/latin", "cannot write into {w}/latin: it is not UTF-8"),
    ("er.simulation.validate --write {w}/empty", "{w}/empty has no place for it"),
    ("er.simulation.calibrate run={w}/dir", "{w}/dir is no run directory"),
    ("er.routing.classify {w}/absent x", "there is no router at {w}/absent"),
    ("er.routing.classify {w}/list.json x", "{w}/list.json is not a router"),
    ("er.routing.recalibrate {w}/latin {w}/empty", "{w}/latin is not a router"),
    ("er.routing.evaluate x --report {w}/empty", "--report is '{w}/empty': give a folder"),
    ("er.claims runs={w}/latin.yaml", "latin.yaml pins no runs"),
    ("er.claims runs={w}/list.yaml", "list.yaml pins no runs"),
    ("er.report out={w}/empty", "out is '{w}/empty': give a folder"),
    ("paper_figures.fig4 out={w}/empty", "out is '{w}/empty': give a folder"),
    ("er.claims.sensitivity out={w}/empty", "out is '{w}/empty': give a folder"),
    (GATEWAY + " gateway.api_keys_file={w}/absent", "gateway.api_keys_file {w}/absent: No such"),
    (
        GATEWAY + " gateway.api_keys_file={w}/latin",
        "gateway.api_keys_file {w}/latin is no text in UTF-8",
    ),
    (GATEWAY + " gateway.tls_certificate={w}/empty gateway.tls_key={w}/empty", "cannot be used"),
    # What is not there by the name that is given.
    ("er.claims uri=sqlite:///{w}/absent.db", "there is no MLflow store {w}/absent.db"),
    ("er.report uri=foo", "uri is 'foo': give sqlite:///FILE"),
    ("paper_figures.fig6 uri=", "uri=: give study=..., runs=..."),
    ("er.status nope --runs-dir {w}", "no study nope in {w} was handed to a cluster"),
    ("er.cancel nope --runs-dir {w}", "no study nope in {w} was handed to a cluster"),
    ("er.collect --runs-dir {w}/absent", "no study in {w}/absent was handed to a cluster"),
    ("er.claims nope", "nope states no claims: choose from"),
    ("er.claims runs=a'b", "a'b is no run: give the first hexadecimal digits"),
    ("er.claims runs=%", "% is no run"),
    ("er.diff zz yy", "zz is no run"),
    # Numbers that are none, or far too large.
    (f"er.load {TARGET} load.think_time_s=inf", "load.think_time_s is inf: give a number"),
    (f"er.load {TARGET} load.requests_per_user=1000000000000", "load asks for 8,000,000,000,008"),
    (
        f"er.load {TARGET} load=burst load.duration_s=1e9 load.requests_per_user=0 "
        "load.burst_every_s=1e-9",
        "load asks for ",
    ),
    (f"er.load {TARGET} workload=fixed workload.input_tokens=100000000000", "10,000,000 at most"),
    (f"er.load {TARGET} workload.input.scale=inf", "workload lengths: scale is inf"),
    ("er.run clock=virtual clock.gateway_s=inf", "clock.gateway_s is inf: a delay is 0 or more"),
    ("er.run engine.correction.host_step_s=inf", "engine.correction.host_step_s is inf"),
    ("er.run engine.max_num_tokens=100000000000000", "engine.max_num_tokens is 100000000000000: "),
    ("er.run repeats=100000", "these are 100,000 jobs, 1,000 at most"),
    ("er.run -m seed=range(0,nan)", "InvalidOperation"),
    ("er.run -m deployment=glob(zz*)", "deployment is swept over nothing"),
    (GATEWAY + " gateway.processes=100000", "gateway.processes is 100000: give one for each core"),
    ("er.routing.evaluate x --seeds -1", "--seeds is -1: give 0 or more"),
    # Names that would lie elsewhere, or that nothing can hold.
    ("er.run study=..", "study is '..': give a name that can be a folder's"),
    ("er.run study=-x", "study is '-x': give a name that can be a folder's and an argument's"),
    ("er.run study='a=b'", "study is 'a=b': give a name that can be a folder's and an argument's"),
    ("er.run study=mlartifacts", "study is 'mlartifacts': give a name"),
    ("er.run study=figures", "study is 'figures': give a name"),
    ("er.run deployment.id='../x'", "deployment.id is '../x': give letters"),
    ("er.run runs_dir={w}/" + 300 * "x", "(File name too long): give a folder"),
    ("er.run tracking.uri=mlflow.db", "tracking.uri is 'mlflow.db': give sqlite:///FILE"),
    ("er.run --cfg job -p nope", "package 'nope' not found in config"),
    # Addresses.
    ("er.load target=http://h:0/v1/completions", "0 is not a port: give http://host:port"),
    ("er.load target=http://h:1/v1/completions\nX:y", "/completions\\nX:y: it has white space"),
    (f"er.load {TARGET} model=", "model is empty"),
    (GATEWAY + " gateway.host=no.invalid", "gateway.host is 'no.invalid' ("),
    (GATEWAY + " gateway.host=192.0.2.1", "gateway.host is '192.0.2.1' (another machine)"),
    (GATEWAY + f" gateway=aiohttp gateway.experts=[[{URL},{REPLICA}],{URL}]", "knows no replicas"),
    (GATEWAY + " gateway.experts=[]", "gateway.experts has 0 addresses"),
    (GATEWAY + " routing.policy=random routing.shares=[1,2,3]", "routing.shares has 3 weights"),
    # Options that contradict each other, or would have no effect.
    (f"er.load {TARGET} inspect={{w}}/list.json", "inspect=FILE sends nothing: leave out target="),
    ("er.load -m inspect={w}/list.json seed=1,2", "one target or file takes one load"),
    (f"er.load {TARGET} load.trace_unit=s", "load.trace_unit is of a trace: add load=trace"),
    (f"er.load {TARGET} load.headers=[1]", "load.headers=[1]: give names and values such as {"),
    ("er.run clock=virtual dry=true", "dry=true prints batch scripts: add cluster=slurm"),
    ("er.run clock=virtual objective=e2e_s.p95", "objective is for a sweeper"),
    ("er.build action=list dry=true", "dry=true is of action=build"),
    ("er.claims.sensitivity fig4", "fig4: it examines every claim"),
    ("er.claims.sensitivity write=yes", "write is yes: choose from true, false"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "dir").mkdir()
    (folder / "empty").write_text("")
    for name in ("latin", "latin.yaml"):
        (folder / name).write_bytes(b"runs: caf\xe9\n")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "list.yaml").write_text("- 1\n")
    for name, manifest in (("broken", "{"), ("bare", json.dumps({"format": "er bundle 1"}))):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as bundle:
            bundle.writestr("manifest.json", manifest)
    return folder


@pytest.mark.parametrize(("words", "says"), CASES, ids=[words for words, _ in CASES])
def test_it_is_refused_in_one_line(
    words: str, says: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(files.rglob("*"))
    name, *arguments = words.replace("{w}", str(files)).split(" ")
    if name in ("er.load", "er.run") and not re.search("runs_dir=|job=|--cfg", words):
        arguments.append(f"runs_dir={files}/runs")
    assert exit_code(name, *arguments) == 2
    line = capsys.readouterr().err
    assert says.replace("{w}", str(files)) in line
    assert line.count("\n") == 1
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize("variable", ["ER_API_KEY", "OPENAI_API_KEY"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "secret\nX-Other: 1")
    assert exit_code("er.load", TARGET) == 2
    line = capsys.readouterr().err
    assert line == f"er.load: ${variable} is not one printable line: export the key alone\n"


@pytest.mark.parametrize(
    "proxy", ["http://[::1", "proxy", "http://h:99999", "socks5://h:1", "://", "http://"]
)
def test_a_proxy_that_is_none_is_refused_and_not_repeated(
    proxy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", proxy)
    assert exit_code("er.load", "target=http://h.invalid/v1/completions") == 2
    line = capsys.readouterr().err
    assert line == "er.load: $http_proxy is not the address of a proxy: export http://HOST:PORT\n"
