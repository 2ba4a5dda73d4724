"""The real tritonserver from the nvidia-pytriton wheel, on this machine, without a GPU."""

import ctypes.util
import http.client
import importlib.util
import json
import os
import sys
import sysconfig
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from er.config import Server
from er.errors import ErError
from er.process import readiness, shared_memory
from er.process.group import running
from er.results.request import Endpoint, ServedModel
from er.server import model_repository
from er.server.ports import HOST, Ports, reserved

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"
PROOF_TEXT = "Hello"
PROOF_TIMEOUT_S = 30.0


@contextmanager
def serve(
    models: list[ServedModel], server: Server, run_dir: Path, host: str = HOST
) -> Iterator[list[Endpoint]]:
    """Serve `models` from one Triton, each proved ready by an inference.

    Writes `model_repository/`, `backends/` and `logs/triton.log` into `run_dir`. When the block
    ends, no process, port or file in /dev/shm is left. Raises ErError when Triton cannot be
    started.
    """
    check()
    model_repository.write(models, run_dir / "model_repository")
    link_backend(run_dir / "backends")
    log_path = run_dir / "logs" / "triton.log"
    shm_prefix = shared_memory.prefix(uuid.uuid4().hex[:12])
    with (
        reserved(server, host=host) as ports,
        running(
            command(models, run_dir, ports, shm_prefix),
            log_path,
            name="Triton",
            env=environment(),
            stop_timeout_s=server.stop_timeout_s,
            shm_prefix=shm_prefix,
        ) as child,
    ):
        readiness.wait_until(
            lambda: readiness.answers(f"{ports.base_url}/health/ready"),
            child,
            server.ready_timeout_s,
            f"{len(models)} models to load",
        )
        endpoints = [ports.endpoint(model.name, model.name) for model in models]
        for endpoint, model in zip(endpoints, models, strict=True):
            prove(endpoint, model.ready_max_tokens)
        yield endpoints


def check() -> None:
    """Raise ErError, saying how to fix it, unless Triton can run under this interpreter."""
    if not tritonserver().is_file():
        raise ErError(
            f"the Triton binary is missing ({tritonserver()}): install the locked environment "
            "with `make setup` (Linux x86-64, glibc 2.35 or newer)"
        )
    if not stub().is_file():
        raise ErError(
            f"this Triton has no Python backend for Python {PYTHON} ({stub()}): "
            "use Python 3.11 or 3.12"
        )
    if not libpython_folders() and not ctypes.util.find_library(f"python{PYTHON}"):
        raise ErError(
            f"{LIBPYTHON}, which Triton's Python backend loads, was not found: install it "
            f"(Debian, Ubuntu: apt install libpython{PYTHON}) or use a Python built with "
            "--enable-shared"
        )
    numpy = version("numpy")
    if int(numpy.split(".")[0]) >= 2:
        raise ErError(
            f"numpy {numpy} is installed, with which Triton's Python backend dies on its first "
            "request: install numpy < 2, as `make setup` does"
        )


def triton_folder() -> Path:
    """Folder of the Triton inside the installed nvidia-pytriton wheel."""
    spec = importlib.util.find_spec("pytriton")
    origin = spec.origin if spec and spec.origin else "pytriton/__init__.py"
    return Path(origin).parent / "tritonserver"


def tritonserver() -> Path:
    """The binary of the server."""
    return triton_folder() / "bin" / "tritonserver"


def stub() -> Path:
    """The Python backend's executable for the running version of Python."""
    return triton_folder() / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"


def libpython_folders() -> list[str]:
    """This interpreter's folders with the shared library that the stub loads."""
    candidates = [str(sysconfig.get_config_var("LIBDIR")), f"{sys.base_prefix}/lib"]
    return [folder for folder in candidates if (Path(folder) / LIBPYTHON).is_file()]


def link_backend(folder: Path) -> None:
    """Make a backend directory with the stub where Triton searches for it."""
    python = folder / "python"
    python.mkdir(parents=True)
    for file in [*(triton_folder() / "backends" / "python").iterdir(), stub()]:
        if not (python / file.name).exists():
            (python / file.name).symlink_to(file)


def command(models: list[ServedModel], run_dir: Path, ports: Ports, shm_prefix: str) -> list[str]:
    """The command line of tritonserver, which loads the models by name."""
    return [
        str(tritonserver()),
        f"--model-repository={run_dir / 'model_repository'}",
        "--model-control-mode=explicit",
        *(f"--load-model={model.name}" for model in models),
        f"--backend-directory={run_dir / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        *ports.flags(),
        "--exit-timeout-secs=5",
    ]


def environment() -> dict[str, str]:
    """The environment in which the stub finds this interpreter and its packages."""
    libraries = triton_folder().parent.parent / "nvidia_pytriton.libs"
    return {
        **os.environ,
        "PATH": joined(str(Path(sys.executable).parent), os.environ.get("PATH")),
        "LD_LIBRARY_PATH": joined(
            str(libraries), *libpython_folders(), os.environ.get("LD_LIBRARY_PATH")
        ),
    }


def joined(*folders: str | None) -> str:
    """A search path of the folders that are not empty."""
    return os.pathsep.join(folder for folder in folders if folder)


def prove(endpoint: Endpoint, max_tokens: int) -> None:
    """Prove that a model works by an inference: Triton calls it READY even if its process has died.

    Raises ErError unless the answer has text.
    """
    body = json.dumps({"text_input": PROOF_TEXT, "max_tokens": max_tokens, "stream": True})
    request = urllib.request.Request(
        endpoint.url, body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PROOF_TIMEOUT_S) as response:
            events = [json.loads(line[5:]) for line in response if line.startswith(b"data:")]
    except urllib.error.HTTPError as error:
        message = error.read().decode(errors="replace").strip() or error.reason
        raise ErError(
            f"model {endpoint.model} does not infer: {message} ({endpoint.url})"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ErError(f"model {endpoint.model} does not infer: {error} ({endpoint.url})") from error
    errors = [event["error"] for event in events if "error" in event]
    if errors:
        raise ErError(f"model {endpoint.model} does not infer: {errors[0]} ({endpoint.url})")
    if not any(event.get("text_output") for event in events):
        raise ErError(f"model {endpoint.model} answers without text ({endpoint.url})")
