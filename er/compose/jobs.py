"""Compose and check every job of a sweep, before any of them starts."""

import gc
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from er.compose import shared
from er.compose.experiments import expand_collections, folders, split_by_experiment
from er.compose.job import Job
from er.compose.keys import is_list
from er.compose.messages import checked, typed_list
from er.compose.schema import register_schema, to_config
from er.compose.search_path import groups_of, hydra_with, refuse_missing
from er.config import Config
from er.errors import ConfigError
from er.options import Arguments

BASIC = "hydra._internal.core_plugins."  # package of Hydra's own launcher and sweeper
JOBS_AT_MOST = 1000  # each takes up to a fifth of a second to compose
ACCEPTED_HYDRA_SETTINGS = ("mode", "searchpath", "sweeper", "launcher")


def plan(overrides: Sequence[str], multirun: bool = False) -> list[Config]:
    """The configuration of every job that these overrides make; see `jobs_of`."""
    return [job.config for job in jobs_of(overrides, multirun)]


def jobs_for(arguments: Arguments) -> list[Job]:
    """Every job of a command line; see `jobs_of`."""
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
    with checked(config_dir), garbage_uncollected(), hydra_with(config_dir) as loader:
        parser = OverridesParser.create(config_loader=loader)
        given = parser.parse_overrides(list(overrides))
        refuse_hydra_settings(given)
        groups = groups_of(loader)
        refuse_several_options(given, groups)
        refuse_site_of_no_folder(given, groups)
        expanded = expand_collections(given, parser, folders(config_dir))
        several = multirun or expanded != given
        experiments = split_by_experiment(expanded, parser) if several else [expanded]
        jobs = [
            job
            for overrides_of_one in experiments
            for job in _jobs(overrides_of_one, multirun, config_name, groups, parser)
        ]
    refuse_many(sum(job.config.repeats for job in jobs))
    return [repeat for job in jobs for repeat in repeated(job)]


def repeated(job: Job) -> list[Job]:
    """The job itself, and one with each further seed, `repeats` in all."""
    first = job.config.seed
    return [job] + [
        replace(
            job, overrides=(*job.overrides, f"seed={seed}"), config=replace(job.config, seed=seed)
        )
        for seed in range(first + 1, first + job.config.repeats)
    ]


def _jobs(
    given: list[Override],
    multirun: bool,
    config_name: str,
    groups: Sequence[str],
    parser: OverridesParser,
) -> list[Job]:
    """The jobs of overrides that name one experiment at most."""
    swept = [override for override in given if override.is_sweep_override()]
    single = [o.input_line for o in given if o not in swept and o.input_line]
    first = composed(config_name, single, groups, parser, with_hydra=True)
    searched = not first.hydra.sweeper._target_.startswith(BASIC)
    if not multirun and first.hydra.mode is not RunMode.MULTIRUN:
        if swept:
            refuse_several_values(swept[0])
        searched = True
    if searched:  # what a sweeper will try is not known beforehand
        return [Job(tuple(single), to_config(composed(config_name, single, groups, parser)))]
    params = [f"{key}={value}" for key, value in (first.hydra.sweeper.params or {}).items()]
    of_params = parser.parse_overrides(params)
    return [
        Job(tuple(job), to_config(composed(config_name, job, groups, parser)))
        for job in combinations([*of_params, *given])
    ]


@contextmanager
def garbage_uncollected() -> Iterator[None]:
    """Disable garbage collection, which takes a quarter of the time of many compositions."""
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
    """Compose one configuration. Raises ConfigError when Hydra fails on the overrides."""
    try:
        return shared.composed(config_name, overrides, groups, parser, with_hydra)
    except (AttributeError, AssertionError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot apply {' '.join(overrides)}: {reason}") from error


def combinations(given: Sequence[Override]) -> list[list[str]]:
    """The overrides of each combination of the values; the last override of a key counts.

    Raises ConfigError for an interval, which has no list of values, and for more than JOBS_AT_MOST
    combinations.
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
    """Raise ConfigError for more than JOBS_AT_MOST jobs."""
    if count > JOBS_AT_MOST:
        raise ConfigError(
            f"these are {count:,} jobs, {JOBS_AT_MOST:,} at most: sweep over fewer values"
        )


def refuse_several_values(override: Override) -> NoReturn:
    """Raise ConfigError for several values without -m, or for those of one list."""
    given = str(override.input_line)
    if is_list(override.key_or_group):
        typed = typed_list(override.get_key_element(), given.partition("=")[2].split(","))
        raise ConfigError(f"{given} is no list: type {typed}, quotes included")
    raise ConfigError(f"{given} names several values: add -m to run each")


def refuse_several_options(overrides: Sequence[Override], groups: Sequence[str]) -> None:
    """Raise ConfigError for a list or a mapping in place of the name of one option."""
    for override in overrides:
        group = override.key_or_group
        if group in groups and isinstance(override.value(), list | dict):
            raise ConfigError(f"{override.input_line}: give the name of one option of conf/{group}")
        if group == "capacity" and isinstance(override.value(), dict):
            raise ConfigError(
                f"{override.input_line}: choose +experiment=capacity, and set capacity.KEY=VALUE"
            )


def refuse_site_of_no_folder(overrides: Sequence[Override], groups: Sequence[str]) -> None:
    """Raise ConfigError for `site=NAME` without a folder that has sites."""
    for override in overrides:
        if override.key_or_group == "site" and "site" not in groups:
            raise ConfigError(
                f"{override.input_line}: say with --config-dir DIR where it is: "
                f"DIR/site/{override.value()}.yaml (the examples: --config-dir slurm)"
            )


def refuse_hydra_settings(overrides: Sequence[Override]) -> None:
    """Raise ConfigError for a setting of Hydra that has no effect in er."""
    for override in overrides:
        key = override.key_or_group
        if key == "hydra.searchpath":
            refuse_missing(override)
        name = re.match(r"hydra[./](\w+)", key)
        if key == "hydra" or (name and name[1] not in ACCEPTED_HYDRA_SETTINGS):
            raise ConfigError(
                f"{key} has no effect: er names and writes the run directories itself; "
                "runs_dir=... says where"
            )
