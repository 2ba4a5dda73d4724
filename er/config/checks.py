"""Rules that every part of the schema shares."""

import re
from pathlib import Path

from er.errors import ConfigError

STORES = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://|https?://|file:|databricks")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


def require_positive(owner: object, place: str, *names: str) -> None:
    """Each named field of `owner`, found at `place` in the configuration, must be above zero."""
    for name in names:
        value = getattr(owner, name)
        require(value > 0, f"{place}.{name} is {value}: give a value above 0")


def require_port(port: int, place: str) -> None:
    """A TCP port, or 0 for any free one."""
    require(0 <= port <= 65535, f"{place} is {port}: give a TCP port, or 0 for any free one")


def require_folder(folder: str, place: str) -> None:
    """A folder, which may be new."""
    try:
        usable = bool(folder) and (Path(folder).is_dir() or not Path(folder).exists())
        reason = ""
    except OSError as error:  # such as a name that is too long
        usable, reason = False, f" ({error.strerror})"
    require(usable, f"{place} is '{folder}'{reason}: give a folder, which may be new")


def require_store(uri: str, place: str) -> None:
    """An address that MLflow takes."""
    require(
        STORES.match(uri) is not None,
        f"{place} is '{uri}': give sqlite:///FILE, postgresql://... or the address of an MLflow "
        "server",
    )
