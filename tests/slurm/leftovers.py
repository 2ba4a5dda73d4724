"""Clear what a Slurm of the tests leaves when its owner is killed and can clear nothing itself.

`python leftovers.py` reads what there will be, and clears it when its input ends without a word.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from networks import Networks, remove
from processes_of import end_all


@contextmanager
def cleared_at_death(
    folder: Path, networks: Networks | None = None, mounted: bool = False
) -> Iterator[None]:
    """A process of its own waits for the end of this one while the block lasts: then it ends what
    names the folder, removes the networks, and takes off the file system that is mounted there."""
    what = {"folder": str(folder), "mounted": mounted}
    if networks:
        what |= {"tag": networks.tag, "subnet": networks.subnet, "nodes": list(networks.nodes)}
    watcher = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
    )
    assert watcher.stdin
    watcher.stdin.write(json.dumps(what).encode() + b"\n")
    watcher.stdin.flush()
    try:
        yield
    finally:
        watcher.communicate(b"cleared")


def main() -> None:
    """Wait, then clear."""
    what = json.loads(sys.stdin.readline())
    if sys.stdin.read():
        return
    for _ in range(2):  # what was being started the first time
        end_all(what["folder"])
    if "tag" in what:
        remove(Networks(what["tag"], what["subnet"], what["nodes"], Path(what["folder"], "hosts")))
    if what["mounted"]:
        subprocess.run(["umount", "--lazy", what["folder"]], check=True)
        Path(what["folder"]).rmdir()


if __name__ == "__main__":
    main()
