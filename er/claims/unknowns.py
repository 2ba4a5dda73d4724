"""What the paper does not say, as experiments/unknowns.yaml lists it."""

from dataclasses import dataclass
from pathlib import Path

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
            Setting(
                unknown["name"],
                value,
                tuple(entry.get("overrides", ())),
                tuple(entry.get("of", ())),
                float(entry.get("step_times", 1)),
            )
            for unknown in values["unknowns"]
            for value, entry in unknown["settings"].items()
        ]
        return [int(concurrency) for concurrency in values["ladder"]], [AS_CONFIGURED, *settings]
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{file} does not list unknowns: {error!r}") from error
