"""One job, in memory and as a file from which another machine can run it."""

import json
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from er.compose.kinds import KINDS
from er.compose.messages import checked
from er.compose.schema import to_config
from er.config import Config
from er.config.plain import plain
from er.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """One deployment to measure or predict: the overrides, and the configuration they make."""

    overrides: tuple[str, ...]
    config: Config
    sweep: str = ""  # id that the runs of one command share; empty for a single job

    def write(self, path: Path) -> None:
        """Write the job to a file, for `read_job`."""
        values = {
            "overrides": list(self.overrides),
            "config": plain(self.config),
            "sweep": self.sweep,
        }
        path.write_text(json.dumps(values, indent=2) + "\n")


def read_job(path: Path) -> Job:
    """Read a job that `Job.write` wrote, and check it again.

    Raises ConfigError when the file is not such a job or its configuration breaks a rule.
    """
    try:
        values = json.loads(path.read_text())
        overrides, config = values["overrides"], values["config"]
        sweep = str(values.get("sweep", ""))
        schema = OmegaConf.structured(Config)
        for group, kinds in KINDS.items():
            schema[group] = OmegaConf.structured(kinds[config[group]["kind"]])
    except OSError as error:
        raise ConfigError(f"job={path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"job={path} is not a job that er wrote: {error!r}") from error
    with checked():
        composed = OmegaConf.merge(schema, config)
    assert isinstance(composed, DictConfig)
    return Job(tuple(overrides), to_config(composed), sweep)
