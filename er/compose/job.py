"""One job as a value, and as a file that another machine can run."""

import json
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from er.compose.kinds import CLUSTERS, ENGINES, GATEWAYS, WORKLOADS
from er.compose.messages import checked
from er.compose.schema import to_config
from er.config import Config
from er.config.plain import plain
from er.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """One deployment to measure or predict: what was asked for, and what follows from it."""

    overrides: tuple[str, ...]
    config: Config
    sweep: str = ""  # what the runs of one command share; empty: this job is alone

    def write(self, path: Path) -> None:
        """Write it to a file, from which another machine can run it."""
        values = {"overrides": list(self.overrides), "config": plain(self.config)}
        values |= {"sweep": self.sweep}
        path.write_text(json.dumps(values, indent=2) + "\n")


def read_job(path: Path) -> Job:
    """The job that `Job.write` wrote, checked again.

    Raises ConfigError when the file is not one or its configuration breaks a rule.
    """
    try:
        values = json.loads(path.read_text())
        overrides, config = values["overrides"], values["config"]
        sweep = str(values.get("sweep", ""))
        schema = OmegaConf.structured(Config)
        schema.engine = OmegaConf.structured(ENGINES[config["engine"]["kind"]])
        schema.gateway = OmegaConf.structured(GATEWAYS[config["gateway"]["kind"]])
        schema.workload = OmegaConf.structured(WORKLOADS[config["workload"]["kind"]])
        schema.cluster = OmegaConf.structured(CLUSTERS[config["cluster"]["kind"]])
    except OSError as error:
        raise ConfigError(f"job={path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"job={path} is not a job that er wrote: {error!r}") from error
    with checked():
        composed = OmegaConf.merge(schema, config)
    assert isinstance(composed, DictConfig)
    return Job(tuple(overrides), to_config(composed), sweep)
