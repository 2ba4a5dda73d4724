"""An engine needs the server of its kind."""

import pytest

from er.compose import plan
from er.config import Config
from er.errors import ConfigError
from er.server import kinds


def config(*overrides: str) -> Config:
    [only] = plan(list(overrides))
    return only


def test_the_default_goes_together() -> None:
    kinds.check(config())
    config("engine=trtllm", "server=container")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["engine=trtllm"],
            "engine=trtllm needs server=container, server.kind is embedded",
        ),
        (["server=container"], "engine=simulated needs server=embedded, server.kind is container"),
    ],
)
def test_what_does_not_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(*overrides)
