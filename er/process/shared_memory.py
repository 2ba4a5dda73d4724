"""Files of servers in /dev/shm, named after the process that started those.

Where all of a server, its guard and its owner are killed at once, as a batch system does when a job
ends too slowly, nobody is left to remove them: the next start on the machine does.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/dev/shm")
OWNED = re.compile(r"er_n(\d+)_p(\d+)_t(\d+)_")
STATE_AND_LATER, START_TIME = ")", 19  # of /proc/PID/stat: field 22, see proc(5)


def prefix(name: str) -> str:
    """What the names of a server's files begin with; `name` tells those of one owner apart."""
    pid = os.getpid()
    return f"er_n{_namespace()}_p{pid}_t{_started(pid)}_{name}_"


def remove_of_dead() -> list[Path]:
    """Remove the files whose owner is gone, and name them: those of this user alone, and of owners
    among the processes that are seen from here, which another container's are not."""
    removed = []
    for path in FOLDER.glob("er_n*"):
        owner = OWNED.match(path.name)
        if not owner or owner[1] != _namespace() or _started(int(owner[2])) == owner[3]:
            continue
        with suppress(OSError):  # another command removes it too
            if path.stat().st_uid == os.geteuid():
                path.unlink()
                removed.append(path)
    return removed


def _namespace() -> str:
    """The number of the namespace of process ids that this one is in."""
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _started(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(STATE_AND_LATER)[2].split()[START_TIME]
