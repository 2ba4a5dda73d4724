"""A server in C whose latencies are known, compiled when a benchmark starts it."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("ground_truth.c")


@dataclass(frozen=True)
class TruthServer:
    """A running server."""

    origin: str  # http://host:port
    process: "subprocess.Popen[str]"

    def truth(self) -> dict[str, Any]:
        """What really left since the last call: counts, quantiles of TTFT and ITL in seconds."""
        with urllib.request.urlopen(f"{self.origin}/truth") as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def serving(folder: Path, ttft_s: float, itl_s: tuple[float, float]) -> Iterator[TruthServer]:
    """A server with this time to first token and inter-token latencies uniform in `itl_s`."""
    program = folder / "ground_truth"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-Wall", "-o", program, SOURCE], check=True)
    times_us = [str(round(time_s * 1e6)) for time_s in (ttft_s, *itl_s)]
    with subprocess.Popen([program, *times_us], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield TruthServer(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
        finally:
            process.kill()
