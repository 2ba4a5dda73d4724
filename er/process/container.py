"""Start programs in the TensorRT-LLM container, with the launcher that a node has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from er.config.trtllm import Container, Runtime
from er.process import group
from er.process.group import Child
from er.process.launch import Launch
from er.process.launchers import apptainer, bare, docker, pyxis

LAUNCHERS: dict[Runtime, ModuleType] = {
    Runtime.bare: bare,
    Runtime.docker: docker,
    Runtime.apptainer: apptainer,
    Runtime.pyxis: pyxis,
}


def program(runtime: Runtime) -> str:
    """The program that must be on this machine's PATH; empty if none is needed."""
    return str(LAUNCHERS[runtime].PROGRAM)


def render(runtime: Runtime, launch: Launch) -> list[str]:
    """The command line that starts a launch."""
    line: list[str] = LAUNCHERS[runtime].render(launch)
    return line


def end(runtime: Runtime, launch: Launch) -> list[str]:
    """The command that ends a launch whose client is gone; empty if none is needed."""
    line: list[str] = LAUNCHERS[runtime].end(launch)
    return line


@contextmanager
def running(
    runtime: Runtime, launch: Launch, *, title: str, stop_timeout_s: float, shm_prefix: str = ""
) -> Iterator[Child]:
    """Run a launch while the block lasts; nothing of it is left on the node afterwards.

    Messages call it `title`. Raises ErError when it cannot be started.
    """
    with group.running(
        render(runtime, launch),
        launch.log,
        name=title,
        stop_timeout_s=stop_timeout_s,
        shm_prefix=shm_prefix,
        end=end(runtime, launch),
    ) as child:
        yield child


def at_site(launch: Launch, settings: Container) -> Launch:
    """The launch with the mounts and the kind of PMI that a site's settings add."""
    mounts = (*launch.mounts, *map(Path, settings.mounts))
    return replace(launch, mounts=mounts, pmi=settings.mpi)


def with_links(folder: Path) -> list[Path]:
    """A folder, and the folders that its links lead to, as in a cache of the Hugging Face hub."""
    if not folder.is_dir():
        return [folder]
    targets = {path.resolve().parent for path in folder.iterdir() if path.is_symlink()}
    return [folder, *sorted(targets - {folder.resolve()})]
