"""Run jobs through a launcher or a sweeper of Hydra."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from er.compose import shared
from er.compose.experiments import expand_collections, folders, split_by_experiment
from er.compose.job import Job
from er.compose.jobs import BASIC
from er.compose.messages import checked
from er.compose.schema import register_schema, to_config
from er.compose.search_path import groups_of, hydra_with
from er.errors import ErError
from er.options import Arguments

NONE_RAN = "No trials are completed"  # Optuna's message


def plugins_of(arguments: Arguments) -> list[str]:
    """The chosen launcher and sweeper, without Hydra's basic ones.

    Raises ConfigError when one is not installed.
    """
    register_schema()
    with checked(arguments.config_dir), hydra_with(arguments.config_dir) as loader:
        parser = OverridesParser.create(config_loader=loader)
        given = parser.parse_overrides([*arguments.overrides])
        expanded = expand_collections(given, parser, folders(arguments.config_dir))
        first = split_by_experiment(expanded, parser)[0]
        single = [o.input_line for o in first if o.input_line and not o.is_sweep_override()]
        groups = groups_of(loader)
        chosen = shared.composed(arguments.config_name, single, groups, parser, with_hydra=True)
    targets = (chosen.hydra.launcher._target_, chosen.hydra.sweeper._target_)
    return [target.rpartition(".")[2] for target in targets if not target.startswith(BASIC)]


def launch(arguments: Arguments, work: Callable[[Job], float], folder: Path) -> None:
    """Let Hydra call `work` with every job, possibly in other processes: it must be picklable.

    Plugins write their files to `folder`. A sweeper optimises the number that `work` returns.
    Raises what `work` raises, once the other jobs are done.
    """
    register_schema()
    own = [f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir=jobs/${hydra.job.num}"]
    overrides = [*arguments.overrides, "hydra.mode=MULTIRUN", *own]
    with hydra_with(arguments.config_dir):
        hydra = GlobalHydra.instance().hydra
        assert hydra
        task = functools.partial(_task, work, arguments.overrides)
        try:
            hydra.multirun(arguments.config_name, task, overrides)
        except ValueError as error:
            if NONE_RAN in str(error):
                raise ErError("none of the combinations tried could be run") from error
            raise


def _task(work: Callable[[Job], float], given: tuple[str, ...], composed: DictConfig) -> float:
    """Run one job in the process that the launcher chose, and print its errors there."""
    overrides = tuple(HydraConfig.get().overrides.task)
    try:
        return work(Job(overrides, to_config(composed)))
    except ErError as error:
        known = [override.casefold() for override in given]  # Hydra writes False for false
        chosen = [override for override in overrides if override.casefold() not in known]
        print(f"er: {' '.join(chosen)}: {error}", file=sys.stderr, flush=True)
        raise
