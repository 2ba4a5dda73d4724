"""What a node lacks is said before anything starts; with stand-ins for Docker and its image."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from er import build
from er.engine import cache, in_container
from er.study import build_plan, preflight
from tests.standins import dockerd
from tests.unit.engine.launches import composed
from tests.unit.engine.test_cache import no_locks

PYTHON = """#!/bin/sh
case "$2" in
    *mpi4py*) echo "world of ${OMPI_COMM_WORLD_SIZE:-1}";;
    *cuInit*) echo "cuda 0 12090 12.9.0.043";;
    *tensorrt_llm*) echo "[TensorRT-LLM] a warning"; echo "version 0.19.0";;
esac
"""
MPIRUN = f"""#!{sys.executable}
import os, subprocess, sys
at = sys.argv.index("-n")
count, command = int(sys.argv[at + 1]), sys.argv[at + 2 :]
size = os.environ.get("WORLD", str(count))
for rank in range(count):
    subprocess.run(command, env=os.environ | {{"OMPI_COMM_WORLD_SIZE": size}}, check=True)
"""
GPU = "{index}, NVIDIA H100 80GB HBM3, 575.51.03, 81559, {used}"


class Node:
    """A node of eight GPUs on which all is well."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, folder / "image"
        self.used_mib = 4
        self.gpus = 8
        self.others = 0  # of these, of another kind
        self.script = self.image / "python3"
        self.program(self.script, PYTHON)
        self.program(self.image / "mpirun", MPIRUN)
        for name in ("tritonserver", "convert_checkpoint.py"):
            self.program(self.image / name, "")
        for name in ("preprocessing", "postprocessing", "tensorrt_llm"):
            self.program(self.image / "models" / name / "1" / "model.py", "")
        shape = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
        (folder / "hf").mkdir()
        (folder / "hf" / "config.json").write_text(json.dumps(shape | {"hidden_size": 4096}))
        for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
            (folder / "hf" / name).write_text(name)

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def check(self, *overrides: str) -> int:
        """Of the engine flow, unless told otherwise; the exit code."""
        rows = [GPU.format(index=index, used=self.used_mib) for index in range(self.gpus)]
        rows[: self.others] = [row.replace("H100", "H200") for row in rows[: self.others]]
        told = "\n".join(rows)
        self.program(self.folder / "nvidia-smi", f"#!/bin/sh\ncat <<'END'\n{told}\nEND\n")
        return build.main(
            [
                "action=preflight",
                "deployment=e",
                f"cache_dir={self.folder / 'cache'}",
                f"engine.checkpoint={self.folder / 'hf'}",
                f"engine.tritonserver={self.image / 'tritonserver'}",
                *(
                    []
                    if overrides
                    else [f"engine.convert_script={self.image}/convert_checkpoint.py"]
                ),
                f"engine.model_code={self.image / 'models'}",
                *overrides,
            ]
        )


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="er_preflight_"))
    dockerd.IMAGE_ENVIRONMENT.clear()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    memory, disk = SimpleNamespace(available=2e12), SimpleNamespace(free=2e12)
    for place, name in ((in_container, "CONVERTERS"), (in_container, "os"), (cache, "fcntl")):
        monkeypatch.setattr(place, name, getattr(place, name))  # put back afterwards
    monkeypatch.setattr(preflight.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: disk)
    with dockerd.running(folder):
        yield Node(folder)
    shutil.rmtree(folder)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="the stand-in for Docker is root's")


@needs_root
def test_a_node_on_which_all_holds(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert node.check() == 0
    heading, *lines, verdict = capsys.readouterr().out.splitlines()
    assert verdict == "deployment e can be built and served here"
    assert heading == "deployment e on this node:"
    assert [line[:8] for line in lines] == ["ok      "] * len(preflight.CHECKS)
    assert "8 x NVIDIA H100 80GB HBM3, 85.5 GB, driver 575.51.03" in "\n".join(lines)
    assert list((node.folder / "cache").iterdir()) == []


@needs_root
def test_the_llm_api_needs_less(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.script.write_text(PYTHON.replace("0.19.0", "1.2.1"))
    assert node.check("engine=llmapi") == 0
    assert "ok      disk: nothing is built" in capsys.readouterr().out


@needs_root
@pytest.mark.parametrize(
    ("format_", "says"),
    [(None, "is missing: quantise "), ({"quant_algo": "NVFP4"}, "is NVFP4 (hf_quant_config.json)")],
)
def test_a_checkpoint_in_another_format(
    node: Node, capsys: pytest.CaptureFixture[str], format_: dict[str, str] | None, says: str
) -> None:
    node.script.write_text(PYTHON.replace("0.19.0", "1.2.1"))
    eight = node.folder / "hf8"
    if format_:
        shutil.copytree(node.folder / "hf", eight)
        (eight / "hf_quant_config.json").write_text(json.dumps({"quantization": format_}))
    more = [f"engine.checkpoint_fp8={eight}", "deployment.precision=int8"]
    assert node.check("engine=llmapi_fp8", *more) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "MISSING" in line]
    assert line.startswith("MISSING checkpoint: ")
    assert says in line


def test_ranks_that_write_into_one_line_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    request = build_plan.request_of(composed("trtllm", "e", "bare"))
    monkeypatch.setattr(in_container, "inside", lambda *_, **__: ["a warningworld of 2world of 2"])
    assert in_container.mpi(request) == "two ranks are one world"


@pytest.mark.parametrize("buffering", ["", "1"])
def test_what_a_rank_says_is_one_write(tmp_path: Path, buffering: str) -> None:
    """Or two ranks would stand in each other's lines, as Python's print does without a buffer."""
    (tmp_path / "mpi4py.py").write_text("class MPI:\n    class COMM_WORLD:\n        size = 2\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nwrite = os.write\n"
        "os.write = lambda to, data: write(to, b'[' + data.strip() + b']\\n')\n"
    )
    line = [sys.executable, "-c", in_container.MPI_WORLD]
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": buffering}
    said = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "[world of 2]\n"


def idle(node: Node) -> None:
    node.used_mib = 40_000


def fewer(node: Node) -> None:
    node.gpus = 4


def mixed(node: Node) -> None:
    node.others = 1


def little_memory(_: Node) -> None:
    preflight.psutil.virtual_memory().available = 40e9


def little_disk(_: Node) -> None:
    preflight.shutil.disk_usage("").free = 30e9


def without_locks(_: Node) -> None:
    cache.fcntl = SimpleNamespace(flock=no_locks, LOCK_EX=0)


def as_root_of_docker(_: Node) -> None:
    in_container.os = SimpleNamespace(getuid=lambda: 12345, devnull=os.devnull)


def on_another_disk(node: Node) -> None:
    node.program(node.image / "touch", "#!/bin/sh\n")  # the container's own folder, not ours


def older(node: Node) -> None:
    node.script.write_text(PYTHON.replace("0.19.0", "0.18.0"))


def with_an_old_driver(node: Node) -> None:
    node.script.write_text(PYTHON.replace("cuda 0 12090", "cuda 803 12020"))


def of_the_next_cuda(node: Node) -> None:
    node.script.write_text(PYTHON.replace("12.9.0.043", "13.0.1"))


def apart(_: Node) -> None:
    dockerd.IMAGE_ENVIRONMENT["WORLD"] = "1"


def elsewhere(node: Node) -> None:
    (node.image / "convert_checkpoint.py").unlink()


def another_image(node: Node) -> None:
    elsewhere(node)
    converter = node.image / "examples" / "convert_checkpoint.py"
    node.program(converter, "")
    in_container.CONVERTERS = (str(converter),)


def half(node: Node) -> None:
    (node.folder / "hf" / "model.safetensors").unlink()


@needs_root
@pytest.mark.parametrize(
    ("spoil", "name", "says"),
    [
        (idle, "GPUs", "other programs hold memory of GPU 0 (41.9 GB), 1"),
        (fewer, "GPUs", "4 GPUs here, deployment needs 8"),
        (mixed, "GPUs", "the GPUs are of several kinds: choose a node of one"),
        (little_memory, "host memory", "40 GB of the host's memory are free, a build takes up to"),
        (little_disk, "disk", "/cache has 30 GB free, a build takes 35 GB: make room, or set"),
        (without_locks, "locks", "/cache is on a file system without flock (Function not"),
        (as_root_of_docker, "files", "as user 0, er is 12345"),
        (on_another_disk, "files", "/cache is not seen here: share that disk"),
        (older, "version", "the container has TensorRT-LLM 0.18.0, engine.version is 0.19.0"),
        (
            with_an_old_driver,
            "CUDA",
            "the driver has CUDA 12.2, the image 12.9.0.043 (cuInit gives 803)",
        ),
        (of_the_next_cuda, "CUDA", "the driver has CUDA 12.9, the image 13.0.1"),
        (apart, "MPI", "two ranks print ['world of 1', 'world of 1'], not twice a world of 2"),
        (elsewhere, "paths", "convert_checkpoint.py: set engine.convert_script"),
        (another_image, "paths", "(a converter is at /tmp/er_preflight_"),
        (half, "checkpoint", "model.safetensors is missing"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_looked_at(
    node: Node,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Node], None],
    name: str,
    says: str,
) -> None:
    spoil(node)
    assert node.check() == 1
    _, *lines, verdict = capsys.readouterr().out.splitlines()
    assert verdict == f"deployment e cannot be served here: 1 of 13 missing ({name})"
    (missing,) = [line for line in lines if not line.startswith("ok ")]
    assert missing.startswith(f"MISSING {name}: ")
    assert says in missing
    assert len(lines) == len(preflight.CHECKS)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["engine.container.runtime=pyxis"], "would be fetched and converted at every start: run "),
        (["engine.container.runtime=apptainer"], "run apptainer build triton.sif docker://nvcr.io"),
        (["engine.container.runtime=pyxis"], "srun is missing"),
        (
            ["engine.container.runtime=pyxis", "engine.container.image=/none/triton.sqsh"],
            "/none/triton.sqsh is no file: run enroot import -o triton.sqsh docker://IMAGE once",
        ),
        ([], "docker is missing"),
    ],
)
def test_a_node_without_anything(
    overrides: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    words = ["action=preflight", "deployment=d", f"cache_dir={tmp_path}", *overrides]
    assert build.main(words) == 1
    assert says in capsys.readouterr().out


def test_pyxis_outside_a_job_of_slurm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    words = ["action=preflight", "deployment=d", f"cache_dir={tmp_path / 'cache'}"]
    assert build.main([*words, "engine.container.runtime=pyxis"]) == 1
    says = "MISSING launcher: pyxis starts steps of a Slurm job: run er inside one"
    assert says in capsys.readouterr().out


def test_a_busy_port_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        words = ["action=preflight", "deployment=d", f"cache_dir={tmp_path}"]
        assert build.main([*words, f"server.http_port={port}"]) == 1
    assert f"MISSING ports: server.http_port {port} cannot be opened" in capsys.readouterr().out
