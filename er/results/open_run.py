"""Open a run directory for one command: a new one, or the newest of the same key."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from er.errors import ErError
from er.results import names, places
from er.results.run_dir import RunDir


@contextmanager
def open_run(folder: Path, name: str, key: str, resume: bool = True) -> Iterator[RunDir]:
    """Open the newest run `name` in `folder`, and keep other commands from writing to it meanwhile.

    With `resume=False`, or when the newest run has another key, a new directory is made. Raises
    ErError when the directory cannot be written or another command is writing to it.
    """
    with places.explain_write_errors(folder):
        found = newest_run(folder, name, key) if resume else None
        path = found.path if found else places.make_directory(folder, name)
    with places.explain_run_write_errors(path):
        lock = (path / names.LOCK).open("w")
    with lock:
        if not places.try_lock(lock):
            raise ErError(
                f"another command is measuring {path}: wait for it, or measure beside it with "
                "resume=false"
            )
        with places.explain_run_write_errors(path):
            run = _prepare(path, key)
        yield run


def _prepare(path: Path, key: str) -> RunDir:
    """Remove what a killed command left half written, and make the files of a new run, or the
    folders of one that came through git or a zip, which leave out empty ones."""
    run = RunDir(path)
    for part in path.rglob("*.part"):
        part.unlink()
    if run.has(names.RECORD):
        run.make_folders()
    else:
        run.create(key)
    return run


def newest_run(folder: Path, name: str, key: str) -> RunDir | None:
    """The newest run `name` in `folder`; None when there is none or it has another key."""
    path = places.place(folder, name, places.count(folder, name))
    if not path.exists():
        return None
    run = RunDir(path)
    begun = run.has(names.RECORD)  # otherwise its command was killed before it wrote one
    return run if not begun or run.read(names.RECORD)["key"] == key else None


def require_writable(runs_dir: str) -> None:
    """Raise ErError unless runs can be written to `runs_dir`."""
    folder = Path(runs_dir)
    with places.explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
