"""Processes that name a folder."""

import os

import psutil


def end_all(named: str) -> None:
    """End what daemons leave: slurmstepd and job scripts that name a folder, by their ids."""
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), *process.environ().values()])
        except psutil.Error:
            continue
        if named in words and process.pid != os.getpid():
            process.kill()
