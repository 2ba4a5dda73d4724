"""A node that is its own container: the wheel's tritonserver in the container's place."""

import shutil
from pathlib import Path

from er.server import embedded

STANDINS = Path(__file__).parent / "standins"


def own_container(folder: Path) -> Path:
    """`folder`/tritonserver, which knows the stand-in for the C++ backend."""
    embedded.link_backend(folder / "linked")
    # A backend written in Python may not be a link out of its directory.
    shutil.copytree(folder / "linked", folder / "in_container")
    # Triton makes it executable for its owner alone; in a container everyone may run it.
    (folder / "in_container" / "python" / embedded.stub().name).chmod(0o755)
    shutil.copytree(STANDINS / "backend", folder / "in_container" / "tensorrtllm")
    tritonserver = folder / "tritonserver"
    variables = "\n".join(
        f"export {name}='{value}'"
        for name, value in embedded.environment().items()
        if name in ("PATH", "LD_LIBRARY_PATH")
    )
    tritonserver.write_text(
        f"#!/bin/sh\n{variables}\n"
        f'exec {embedded.tritonserver()} --backend-directory={folder / "in_container"} "$@"\n'
    )
    tritonserver.chmod(0o755)
    return tritonserver
