"""The commands that serve deployments A-E on a node, beside the files that hold them.

After a change that is meant: ER_WRITE_GOLDEN=1 python -m pytest tests/golden, then read the diff.
"""

import os
import shlex
from pathlib import Path

import pytest

from er.config import Config
from er.config_trtllm import TrtllmEngine
from er.engine.names import model_names
from er.server import trtllm_launch
from er.sweep import plan

FILES = Path(__file__).parent / "launch"
CASES = [
    *((deployment, "docker") for deployment in "abcde"),
    *((deployment, runtime) for deployment in "ad" for runtime in ("apptainer", "pyxis", "bare")),
]


def places(config: Config) -> list[trtllm_launch.Place]:
    names = model_names(config.deployment)
    return trtllm_launch.places(names, config.deployment.tp, list(range(8000, 8008)))


def lines(deployment: str, runtime: str) -> str:
    """One command per engine, one argument per line."""
    [config] = plan(
        [
            "engine=trtllm",
            f"deployment={deployment}",
            f"engine.container.runtime={runtime}",
        ]
    )
    assert isinstance(config.engine, TrtllmEngine)
    commands = []
    for place in places(config):
        binds = [Path("/run/model_repository"), Path("/engines/it"), Path("/checkpoint")]
        command = trtllm_launch.command(config.engine, place, binds[0], binds)
        commands.append(" \\\n  ".join(shlex.quote(part) for part in command))
    return "\n\n".join(commands) + "\n"


@pytest.mark.parametrize(("deployment", "runtime"), CASES)
def test_launch_commands(deployment: str, runtime: str) -> None:
    path = FILES / f"{deployment}_{runtime}.sh"
    if os.environ.get("ER_WRITE_GOLDEN"):
        FILES.mkdir(exist_ok=True)
        path.write_text(lines(deployment, runtime))
    assert lines(deployment, runtime) == path.read_text()


def test_engines_stand_on_gpus_of_their_own() -> None:
    for deployment, expected in {
        "a": [(0, 1, 2, 3)],
        "c": [tuple(range(8))],
        "d": [(gpu,) for gpu in range(8)],
    }.items():
        [config] = plan([f"deployment={deployment}"])
        assert [place.gpus for place in places(config)] == expected
        assert len({place.port for place in places(config)}) == len(expected)
