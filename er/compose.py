"""From the command line to checked configurations: every job of a sweep, before any starts."""

import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from er.config import Config, SimulatedEngine, SmolLM2Engine, workload
from er.config.plain import plain
from er.config.trtllm import LlmapiEngine, TrtllmEngine
from er.errors import ConfigError
from er.options import CONF, Arguments

READ_OF_HYDRA = ("hydra.mode", "hydra.sweeper.params")
ENGINES = {
    "simulated": SimulatedEngine,
    "smollm2": SmolLM2Engine,
    "trtllm": TrtllmEngine,
    "llmapi": LlmapiEngine,
}
WORKLOADS = {
    "table": workload.TableWorkload,
    "fixed": workload.FixedWorkload,
    "uniform": workload.UniformWorkload,
    "lognormal": workload.LognormalWorkload,
    "jsonl": workload.JsonlWorkload,
    "shared_prefix": workload.SharedPrefixWorkload,
    "multi_turn": workload.MultiTurnWorkload,
}


def register_schema() -> None:
    """Make the classes of `er.config` known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for kind, node in ENGINES.items():
        store.store(group="engine", name=f"base_{kind}", node=node)
    for kind, node in WORKLOADS.items():
        store.store(group="workload", name=f"base_{kind}", node=node)


def to_config(composed: DictConfig) -> Config:
    """The checked configuration of one job.

    Raises ConfigError when a value is missing, of the wrong type, or breaks a rule.
    """
    with checked():
        config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    _refuse_unknown(composed, config, "")
    return config


@dataclass(frozen=True)
class Job:
    """One deployment to measure or predict: what was asked for, and what follows from it."""

    overrides: tuple[str, ...]
    config: Config

    def write(self, path: Path) -> None:
        """Write it to a file, from which another machine can run it."""
        values = {"overrides": list(self.overrides), "config": plain(self.config)}
        path.write_text(json.dumps(values, indent=2) + "\n")


def read_job(path: Path) -> Job:
    """The job that `Job.write` wrote, checked again.

    Raises ConfigError when the file is not one or its configuration breaks a rule.
    """
    try:
        values = json.loads(path.read_text())
        overrides, config = values["overrides"], values["config"]
        schema = OmegaConf.structured(Config)
        schema.engine = OmegaConf.structured(ENGINES[config["engine"]["kind"]])
        schema.workload = OmegaConf.structured(WORKLOADS[config["workload"]["kind"]])
    except OSError as error:
        raise ConfigError(f"job={path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"job={path} is not a job that er wrote: {error!r}") from error
    with checked():
        composed = OmegaConf.merge(schema, config)
    assert isinstance(composed, DictConfig)
    return Job(tuple(overrides), to_config(composed))


def jobs_for(asked: Arguments) -> list[Job]:
    """Every job that a command line asks for. Raises ConfigError as `jobs_of` does."""
    return jobs_of(asked.overrides, asked.multirun)


def show(asked: Arguments) -> None:
    """Let Hydra answer the options that are its own: --cfg, --info, completion and its help.

    Raises ConfigError when it cannot.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed over a page
    register_schema()
    folder = [f"--config-dir={asked.config_dir}"] if asked.config_dir else []
    sys.argv[1:] = [*asked.for_hydra, *folder, *asked.overrides]
    with checked():
        hydra.main(str(CONF), asked.config_name, "1.3")(lambda _: None)()


def plan(overrides: Sequence[str], multirun: bool = False) -> list[Config]:
    """The configuration of every job that these overrides make; see `jobs_of`."""
    return [job.config for job in jobs_of(overrides, multirun)]


def jobs_of(overrides: Sequence[str], multirun: bool = False) -> list[Job]:
    """Every job that these overrides make, as Hydra's basic sweeper makes them.

    Raises ConfigError when any of them cannot be composed or breaks a rule.
    """
    register_schema()
    with checked(), initialize_config_dir(str(CONF), version_base="1.3"):
        parser = OverridesParser.create()
        parsed = parser.parse_overrides(list(overrides))
        swept = [override for override in parsed if override.is_sweep_override()]
        refuse_hydra_settings(parsed)
        single = [o.input_line for o in parsed if o not in swept and o.input_line]
        first = compose("config", overrides=single, return_hydra_config=True)
        params = [f"{key}={value}" for key, value in (first.hydra.sweeper.params or {}).items()]
        if multirun or first.hydra.mode is RunMode.MULTIRUN:
            asked = parser.parse_overrides([*params, *overrides])
            jobs = BasicSweeper.split_arguments(asked, None)[0]
            return [Job(tuple(job), to_config(compose("config", overrides=job))) for job in jobs]
        if swept:
            raise ConfigError(f"{swept[0].input_line} names several values: add -m to run each")
        with open_dict(first):
            del first["hydra"]
        return [Job(tuple(single), to_config(first))]


def refuse_hydra_settings(overrides: Sequence[Override]) -> None:
    """Raise ConfigError for a setting of Hydra's own runner, which does not run the jobs."""
    for override in overrides:
        key = override.key_or_group
        if re.match(r"hydra\b", key) and not key.startswith(READ_OF_HYDRA):
            raise ConfigError(
                f"{key} has no effect: er runs the jobs itself, one after the other; "
                "runs_dir=... says where runs are kept"
            )


@contextmanager
def checked() -> Iterator[None]:
    """Turn what Hydra and omegaconf complain about into ConfigError."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(one_line(error)) from error


def one_line(error: BaseException) -> str:
    """What Hydra or omegaconf said over several lines, in one."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override} (expected key=value): {text.splitlines()[0]}"
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        place = cause.full_key.rpartition(".")[0]
        fields = getattr(cause.object_type, "__dataclass_fields__", {})
        return unknown_key(cause.full_key, [f"{place}.{name}".lstrip(".") for name in fields])
    if isinstance(cause, OmegaConfBaseException):
        said = cause.msg.splitlines()[0] if cause.msg else ""
        if "ListConfig" in said:
            said = "give a list such as [1,2,4]"
        return f"{text.removeprefix('Error merging override ')}: {said}"
    text = text.split("Config search path:")[0].removeprefix("In 'config': ")
    lines = [line.strip() for line in text.splitlines()]
    noise = ("object_type=", "reference_type=", "full_key:", "See https://")
    text = " ".join(line for line in lines if line and not line.startswith(noise))
    return re.sub(r"\bbase_\w+ ", "", text)  # the schemas of engines are no option


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that the schema does not have, with the nearest that it has."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
    return f"{key} is not a known key: {mend}"


def _refuse_unknown(composed: DictConfig, value: object, place: str) -> None:
    """An override with `+` can add a key to a typed node; no such key is left unread."""
    for key, known in composed.items():
        name = f"{place}{key!s}"
        if not hasattr(value, "__dataclass_fields__"):
            return
        if str(key) not in value.__dataclass_fields__:
            raise ConfigError(unknown_key(name, [place + f for f in value.__dataclass_fields__]))
        if isinstance(known, DictConfig):
            _refuse_unknown(known, getattr(value, str(key)), f"{name}.")
