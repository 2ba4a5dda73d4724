"""Models on several nodes: another node's share is served by a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from er.compose import plan
from er.config import Config
from er.errors import ErError
from er.process import nodes
from er.results.request import Endpoint, ServedModel
from er.server import spread
from tests.standins.waiting import eventually

MODELS = [ServedModel(f"expert_{at}", "none", 1, {}) for at in range(4)]
# In place of er.server.node: it serves nothing, and notes how it ends.
SERVES = """
import pickle, sys
share = pickle.load(open(sys.argv[1], "rb"))
names = [model.name for model in share.models]
rows = ['{"url": "http://127.0.0.1:1/%s", "model": "%s"}' % (name, name) for name in names]
print("er.server.node: ready", share.token, "[" + ", ".join(rows) + "]", flush=True)
sys.stdin.read()
(share.folder / "ended").touch()
"""


def config() -> Config:
    [one] = plan(["deployment=e", "deployment.experts=4", "cluster=slurm", "cluster.nodes=2"])
    return one


@contextmanager
def start(
    models: list[ServedModel], _config: Config, _folder: Path, host: str
) -> Iterator[list[Endpoint]]:
    yield [Endpoint(f"http://{host}:2/{model.name}", model.name) for model in models]


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Steps start here; the models that were proved."""
    seen: list[str] = []
    monkeypatch.setattr(spread, "prove", lambda endpoint, _: seen.append(endpoint.model))
    (tmp_path / "node.py").write_text(SERVES)
    return seen


def step_of(script: Path) -> list[str]:
    """Starts `script` in place of the module in `python -m MODULE SHARE`."""
    return ["sh", "-c", f'exec "$0" {script} "$3"']


def test_each_node_serves_its_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proved: list[str]
) -> None:
    monkeypatch.setattr(nodes, "step", lambda *_: step_of(tmp_path / "node.py"))

    with spread.serve(start, MODELS, config(), tmp_path / "run", ["n2"]) as endpoints:
        assert [endpoint.model for endpoint in endpoints] == [model.name for model in MODELS]
        assert proved == ["expert_2", "expert_3"]
        assert not (tmp_path / "run/nodes/n2/ended").exists()

    assert (tmp_path / "run/nodes/n2/ended").exists()
    assert "ready" in (tmp_path / "run/logs/n2/node.log").read_text()


@pytest.mark.usefixtures("proved")
def test_a_share_that_cannot_be_served_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "node.py").write_text("raise SystemExit('error: no model here')")
    monkeypatch.setattr(nodes, "step", lambda *_: step_of(tmp_path / "node.py"))

    with (
        pytest.raises(ErError, match=r"servers of node n2 ended .*no model here"),
        spread.serve(start, MODELS, config(), tmp_path / "run", ["n2"]),
    ):
        pass


def test_the_other_nodes_stop_when_this_process_is_killed(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(SERVES)
    code = f"""
from pathlib import Path
from er.process import nodes
from er.server import spread
from tests.standins.waiting import eventually
from tests.unit.server import test_spread
nodes.step = lambda *_: test_spread.step_of(Path({str(tmp_path / "node.py")!r}))
spread.prove = lambda *_: None
run = Path({str(tmp_path / "run")!r})
with spread.serve(test_spread.start, test_spread.MODELS, test_spread.config(), run, ["n2"]):
    print("serving", flush=True)
    import time; time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "serving\n"
        os.kill(one.pid, signal.SIGKILL)
    assert eventually((tmp_path / "run/nodes/n2/ended").exists)
