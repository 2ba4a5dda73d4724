"""What the paper does not say, as experiments/unknowns.yaml lists it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from er.claims.statements import EXPERIMENTS
from er.errors import ConfigError

FILE = EXPERIMENTS / "unknowns.yaml"


@dataclass(frozen=True)
class Setting:
    """One value of one unknown."""

    unknown: str
    value: str
    overrides: tuple[str, ...] = ()
    of: tuple[str, ...] = ()  # deployments that it changes; none: all
    step_times: float = 1.0  # times those of the configuration

    @property
    def name(self) -> str:
        """Unknown and value."""
        return f"{self.unknown}: {self.value}"


AS_CONFIGURED = Setting("as configured", "")


def read(file: Path = FILE) -> tuple[list[int], list[Setting]]:
    """The ladder, and every setting, the configured one first.

    Raises ConfigError for a file that does not list them.
    """
    try:
        values = yaml.safe_load(file.read_text())
        settings = [
            _setting(unknown["name"], value, entry)
            for unknown in values["unknowns"]
            for value, entry in unknown["settings"].items()
        ]
        ladder = sorted({int(concurrency) for concurrency in values["ladder"]})
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{file} does not list unknowns: {reason}") from error
    if not ladder or ladder[0] < 1:
        raise ConfigError(f"{file}: ladder is {ladder}: give numbers of users")
    return ladder, [AS_CONFIGURED, *settings]


def _setting(unknown: str, value: object, entry: dict[str, Any]) -> Setting:
    """One entry. Raises ValueError for what it cannot have."""
    others = {*entry} - {"overrides", "of", "step_times"}
    step_times = float(entry.get("step_times", 1))
    if others or not step_times > 0:
        raise ValueError(
            f"{unknown}: {value} has {', '.join(others) or f'step_times {step_times}'}"
        )
    lists = [entry.get(name, []) for name in ("overrides", "of")]
    if not all(isinstance(names, list) for names in lists):
        raise ValueError(f"{unknown}: {value}: overrides and of are lists")
    overrides, of = (tuple(map(str, names)) for names in lists)
    return Setting(unknown, str(value), overrides, of, step_times)
