"""Every job of a sweep, composed and checked before any starts."""

import gc
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from er.compose import shared
from er.compose.experiments import collected, folders, one_experiment_each
from er.compose.job import Job
from er.compose.messages import checked
from er.compose.schema import register_schema, to_config
from er.compose.search_path import hydra_with, refuse_missing
from er.config import Config
from er.errors import ConfigError
from er.options import Arguments

BASIC = "hydra._internal.core_plugins."  # where Hydra's own launcher and sweeper are
JOBS_AT_MOST = 1000  # a fifth of a second each to compose, before the first starts
READ_OF_HYDRA = ("mode", "searchpath", "sweeper", "launcher")


def plan(overrides: Sequence[str], multirun: bool = False) -> list[Config]:
    """The configuration of every job that these overrides make; see `jobs_of`."""
    return [job.config for job in jobs_of(overrides, multirun)]


def jobs_for(arguments: Arguments) -> list[Job]:
    """Every job that a command line asks for; see `jobs_of`."""
    return jobs_of(
        arguments.overrides, arguments.multirun, arguments.config_dir, arguments.config_name
    )


def jobs_of(
    overrides: Sequence[str],
    multirun: bool = False,
    config_dir: Path | None = None,
    config_name: str = "config",
) -> list[Job]:
    """Every job that these overrides make, as Hydra's basic sweeper makes them.

    Raises ConfigError when any of them cannot be composed or breaks a rule.
    """
    register_schema()
    with checked(config_dir), uncollected(), hydra_with(config_dir) as loader:
        parser = OverridesParser.create(config_loader=loader)
        given = parser.parse_overrides(list(overrides))
        refuse_hydra_settings(given)
        groups = loader.list_groups("")
        refuse_several_options(given, groups)
        refuse_site_of_no_folder(given, groups)
        named = collected(given, parser, folders(config_dir))
        several = multirun or named != given
        given = named
        studies = one_experiment_each(given, parser) if several else [given]
        jobs = [
            job for study in studies for job in _jobs(study, multirun, config_name, groups, parser)
        ]
    shared.save()
    refuse_many(sum(job.config.repeats for job in jobs))
    return [repeat for job in jobs for repeat in repeated(job)]


def repeated(job: Job) -> list[Job]:
    """The job with as many seeds as it asks for, from its own on."""
    seeds = range(job.config.seed, job.config.seed + job.config.repeats)
    return [
        replace(
            job, overrides=(*job.overrides, f"seed={seed}"), config=replace(job.config, seed=seed)
        )
        if seed > seeds[0]
        else job
        for seed in seeds
    ]


def _jobs(
    given: list[Override],
    multirun: bool,
    config_name: str,
    groups: Sequence[str],
    parser: OverridesParser,
) -> list[Job]:
    """The jobs of one experiment, or of none."""
    swept = [override for override in given if override.is_sweep_override()]
    single = [o.input_line for o in given if o not in swept and o.input_line]
    first = composed(config_name, single, groups, parser, with_hydra=True)
    searched = not first.hydra.sweeper._target_.startswith(BASIC)
    if not multirun and first.hydra.mode is not RunMode.MULTIRUN:
        if swept:
            raise ConfigError(f"{swept[0].input_line} names several values: add -m to run each")
        searched = True
    if searched:  # what a sweeper tries is not known before it has tried
        return [Job(tuple(single), to_config(composed(config_name, single, groups, parser)))]
    params = [f"{key}={value}" for key, value in (first.hydra.sweeper.params or {}).items()]
    of_params = parser.parse_overrides(params)
    return [
        Job(tuple(job), to_config(composed(config_name, job, groups, parser)))
        for job in combinations([*of_params, *given])
    ]


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which takes a quarter of the time of many compositions."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def composed(
    config_name: str,
    overrides: list[str],
    groups: Sequence[str],
    parser: OverridesParser,
    with_hydra: bool = False,
) -> DictConfig:
    """What Hydra makes of the overrides. Raises ConfigError where Hydra fails on them."""
    try:
        return shared.composed(config_name, overrides, groups, parser, with_hydra)
    except (AttributeError, AssertionError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot apply {' '.join(overrides)}: {reason}") from error


def combinations(given: Sequence[Override]) -> list[list[str]]:
    """A list of overrides for each combination of the values; of two for a key the later counts.

    Raises ConfigError for an interval, which has no list of values, and for more than JOBS_AT_MOST.
    """
    values: dict[str, list[str]] = {}
    for override in given:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigError(
                f"{override.input_line} is an interval: hydra/sweeper=optuna takes it"
            )
    for key, found in values.items():
        if not found:
            raise ConfigError(f"{key} is swept over nothing: no option has such a name")
    count = math.prod(map(len, values.values()))
    refuse_many(count)
    return [list(combination) for combination in itertools.product(*values.values())]


def refuse_many(count: int) -> None:
    """Raise ConfigError for more jobs than one command may have."""
    if count > JOBS_AT_MOST:
        raise ConfigError(
            f"these are {count:,} jobs, {JOBS_AT_MOST:,} at most: sweep over fewer values"
        )


def refuse_several_options(overrides: Sequence[Override], groups: Sequence[str]) -> None:
    """Raise ConfigError for a list or a table where the name of one option is due."""
    for override in overrides:
        group = override.key_or_group
        if group in groups and isinstance(override.value(), list | dict):
            raise ConfigError(f"{override.input_line}: give the name of one option of conf/{group}")
        if group == "capacity" and isinstance(override.value(), dict):
            raise ConfigError(
                f"{override.input_line}: choose +experiment=capacity, and set capacity.KEY=VALUE"
            )


def refuse_site_of_no_folder(overrides: Sequence[Override], groups: Sequence[str]) -> None:
    """Raise ConfigError for a site's file where no folder with sites is named."""
    for override in overrides:
        if override.key_or_group == "site" and "site" not in groups:
            raise ConfigError(
                f"{override.input_line}: say with --config-dir DIR where it is: "
                f"DIR/site/{override.value()}.yaml (the examples: --config-dir slurm)"
            )


def refuse_hydra_settings(overrides: Sequence[Override]) -> None:
    """Raise ConfigError for a setting of Hydra's that has no effect here."""
    for override in overrides:
        key = override.key_or_group
        if key == "hydra.searchpath":
            refuse_missing(override)
        name = re.match(r"hydra[./](\w+)", key)
        if key == "hydra" or (name and name[1] not in READ_OF_HYDRA):
            raise ConfigError(
                f"{key} has no effect: er names and writes the run directories itself; "
                "runs_dir=... says where"
            )
