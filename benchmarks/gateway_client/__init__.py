"""Users of a gateway in C, compiled when a benchmark starts them."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("client.c")


@dataclass(frozen=True)
class Users:
    """How many, how often, and what they send."""

    connections: int
    requests_each: int
    body: dict[str, Any]
    window_s: tuple[float, float] = (0.0, 0.0)  # after the begin: its events are counted apart


def start(
    folder: Path, prefix: Sequence[str], port: int, path: str, users: Users
) -> "subprocess.Popen[str]":
    """Start them, wait until they send; `result` waits for what they report."""
    program = folder / "gateway_client"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-Wall", "-o", program, SOURCE], check=True)
    body = folder / "body.json"
    body.write_text(json.dumps(users.body))
    shape = (port, path, users.connections, users.requests_each, body, *users.window_s)
    command = [*prefix, str(program), *map(str, shape)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def result(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What they report."""
    out, _ = process.communicate()
    reported: dict[str, Any] = json.loads(out)
    return reported
