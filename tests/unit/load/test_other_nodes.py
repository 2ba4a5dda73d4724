"""GPUs and models of the other nodes that serve, watched by a process on each."""

import signal
import sys
import time
from pathlib import Path

import pytest

from er.errors import ErError
from er.load import gpus, other_nodes
from er.load.server_watch import Watch
from er.process import nodes
from tests.standins import nvml
from tests.standins.waiting import eventually

ROOT = Path(__file__).parents[3]
# In the watcher's process, before it begins.
DRIVER = """
import sys
sys.path.append({root!r})
import pytest
from tests.standins import nvml
nvml.install(pytest.MonkeyPatch(), nvml.Driver(gpus=4))
"""


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")


def on_a_node(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Steps start here, and run this first."""
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setattr(nodes, "step", lambda _: ["env", f"PYTHONPATH={folder}"])


def watched(seconds: float) -> gpus.GpuWatch:
    with (
        other_nodes.watch_nodes(["n2"], 2) as others,
        gpus.watch_gpus([2, 3]) as gpu_watch,
    ):
        time.sleep(seconds)
    others.add_to(Watch(), gpu_watch)
    return gpu_watch


def test_the_gpus_of_all_nodes_are_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml.install(monkeypatch, nvml.Driver(gpus=4))
    on_a_node(monkeypatch, tmp_path, DRIVER.format(root=str(ROOT)))

    gpu_watch = watched(0.4)

    assert {(one.node, one.gpu) for one in gpu_watch.samples} == {
        (node, gpu) for node in ("n1", "n2") for gpu in (2, 3)
    }
    # The stand-in's GPUs draw 500 W each; the other node watches for a little longer.
    assert gpu_watch.energy_j is not None
    assert gpu_watch.energy_j > 4 * 500 * 0.4


def test_without_the_answer_of_a_node_the_energy_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvml.install(monkeypatch, nvml.Driver(gpus=4))
    on_a_node(monkeypatch, tmp_path, "import sys\nprint('begun', flush=True)\nsys.exit(1)\n")

    gpu_watch = watched(0.1)

    assert {one.node for one in gpu_watch.samples} == {"n1"}
    assert "gpu_energy_j" not in gpu_watch.evidence(100)


def test_a_node_that_cannot_watch_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_a_node(monkeypatch, tmp_path, "raise SystemExit(1)\n")

    with pytest.raises(Exception, match="node n2 cannot watch its GPUs"):
        watched(0.1)


def test_nothing_is_started_without_other_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "step", lambda _: sys.exit("started"))
    gpu_watch = gpus.GpuWatch([gpus.Sample(0.0, 0, None, None, None, None)], 1.0)

    with other_nodes.watch_nodes([], 2) as others:
        pass
    others.add_to(Watch(), gpu_watch)

    assert (gpu_watch.energy_j, gpu_watch.samples[0].node) == (1.0, "")


SILENT = "import sys, time\nprint('begun', flush=True)\ntime.sleep(60)\n"
GONE = "import sys\nprint('begun', flush=True)\nsys.exit(1)\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become fractions of them, and no node is known to be silent."""
    monkeypatch.setattr(other_nodes, "SILENT_S", 0.4)
    monkeypatch.setattr(other_nodes, "LOOK_S", 0.1)
    monkeypatch.setattr(nodes, "_silent", set())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("watcher", [SILENT, GONE])
@pytest.mark.parametrize("of_load", [False, True])
def test_a_node_that_is_gone_ends_the_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watcher: str, of_load: bool
) -> None:
    on_a_node(monkeypatch, tmp_path, watcher)
    monkeypatch.setattr(nodes, "run_there", refuse)
    serving, load = ([], ["n2"]) if of_load else (["n2"], [])
    begin_s = time.monotonic()

    with (
        pytest.raises(other_nodes.LostNodeError, match="node n2 does not answer any more"),
        other_nodes.watch_nodes(serving, 0, load),
    ):
        time.sleep(60)

    assert time.monotonic() - begin_s < 60
    assert nodes.is_silent("n2")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def refuse(*_: object) -> None:
    raise ErError("no answer")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("watcher", [SILENT, GONE])
def test_a_watcher_that_says_nothing_on_a_node_that_answers_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watcher: str
) -> None:
    monkeypatch.setattr(other_nodes, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(other_nodes, "END_TIMEOUT_S", 0.2)
    on_a_node(monkeypatch, tmp_path, watcher)
    asked: list[object] = []
    monkeypatch.setattr(nodes, "run_there", lambda *words: asked.append(words))

    with other_nodes.watch_nodes(["n2"], 0) as others:
        assert eventually(lambda: bool(asked))
        time.sleep(0.3)

    assert others.seen == [None]


@pytest.mark.usefixtures("quick")
def test_a_watcher_gives_a_sign_of_life_each_second(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(other_nodes, "SILENT_S", 30.0)
    on_a_node(monkeypatch, tmp_path, "")
    monkeypatch.setattr(nodes, "run_there", lambda *_: pytest.fail("it was asked"))
    heard_s: set[float] = set()
    is_lost = other_nodes.Watcher.is_lost

    def look(watcher: other_nodes.Watcher) -> bool:
        heard_s.add(watcher.heard_s)
        return is_lost(watcher)

    monkeypatch.setattr(other_nodes.Watcher, "is_lost", look)

    with other_nodes.watch_nodes(["n2"], 0) as others:
        assert eventually(lambda: len(heard_s) > 2)

    assert others.seen[0] is not None
    assert other_nodes.ALIVE_EVERY_S <= 1
