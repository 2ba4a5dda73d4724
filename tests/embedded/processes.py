"""Find processes and files that a test left behind."""

import psutil


def processes_naming(word: str) -> list[psutil.Process]:
    """The processes whose command line holds `word`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if word in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found
