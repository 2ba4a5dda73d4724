"""Stands in for Docker: a daemon of root's that really runs commands, as the user it is told.

Like the real one it is another process than its client: who kills the client leaves the container,
SIGTERM goes through the client to the command, `docker kill` ends it. Without `--user` a container
is root's. Files are those of this machine, and the image is not looked at.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

CLIENT = (
    f"#!{sys.executable}\n"
    + """
import json, os, signal, socket, sys
PATH = {path!r}
def ask(**message):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(PATH)
    connection.sendall(json.dumps(message).encode() + b"\\n")
    return connection.makefile("r")
verb, *words = sys.argv[1:]
name = next((word.partition("=")[2] for word in words if word.startswith("--name=")), "")
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: ask(verb="signal", words=[name, int(number)]).read())
for line in ask(verb=verb, words=words, cwd=os.getcwd()):
    told = json.loads(line)
    sys.stdout.write(told.get("out", ""))
    sys.stdout.flush()
    if "exit" in told:
        sys.exit(told["exit"])
"""
)


def as_user(uid: int, gid: int) -> list[str]:
    """What runs a command as another user, who may read everything: Python may be root's alone."""
    reader = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *reader] if uid else []


IMAGE_ENVIRONMENT: dict[str, str] = {}  # what every container finds


class Daemon:
    """What runs, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # holds the client, `docker`, and what containers find on their path
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.users: list[int] = []  # of every container that was started

    def handle(self, connection: socket.socket) -> None:
        def tell(**message: object) -> None:
            with suppress(OSError):  # the client was killed: the container runs on
                connection.sendall(json.dumps(message).encode() + b"\n")

        with connection:
            with connection.makefile("r") as file:
                asked = json.loads(file.readline())
            tell(exit=getattr(self, asked["verb"])(asked["words"], tell))

    def run(self, words: list[str], tell: Callable[..., None]) -> int:
        options = list(takewhile(lambda word: word.startswith("--"), words))
        given = [option.partition("=")[::2] for option in options]
        _image, *command = words[len(options) :]
        name = next(value for option, value in given if option == "--name")
        user = next((value for option, value in given if option == "--user"), "0:0")
        uid, gid = map(int, user.split(":"))
        environment = dict(value.split("=", 1) for option, value in given if option == "--env")
        environment = IMAGE_ENVIRONMENT | environment
        environment["PATH"] = f"{self.folder}/image:{os.environ['PATH']}"
        self.users.append(uid)
        child = subprocess.Popen(
            [*as_user(uid, gid), *command],
            env=environment,
            cwd="/",
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running[name] = child
        assert child.stdout
        with child.stdout:
            for line in child.stdout:
                tell(out=line)
        status = child.wait()
        self.running.pop(name)
        return status if status >= 0 else 128 - status

    def signal(self, words: list[Any], _: Any) -> int:
        name, number = words
        if name not in self.running:
            return 1
        os.killpg(self.running[name].pid, number)
        return 0

    def kill(self, words: list[str], _: Any) -> int:
        return self.signal([words[0], signal.SIGKILL], _)

    def image(self, words: list[str], tell: Callable[..., None]) -> int:
        tell(out=f"sha256:of-{words[-1]}\n")
        return 0


@contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    """The daemon, with its client at `folder`/docker; what is in `folder`/image is in the image."""
    daemon = Daemon(folder)
    python = folder / "image" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    path = folder / "docker.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen(64)
    client = folder / "docker"
    client.write_text(CLIENT.replace("{path!r}", repr(str(path))))
    client.chmod(0o755)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=daemon.handle, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield daemon
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for child in list(daemon.running.values()):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
