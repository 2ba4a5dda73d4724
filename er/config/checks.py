"""Rules that several parts of the schema share. Each raises ConfigError when it is broken."""

import re
from pathlib import Path

from er.errors import ConfigError

PORT_AT_MOST = 65535
STORES = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://|https?://|file:|databricks")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


def require_positive(owner: object, place: str, *names: str) -> None:
    """Raise ConfigError unless each named field of `owner`, the section `place`, is above zero."""
    for name in names:
        value = getattr(owner, name)
        require(value > 0, f"{place}.{name} is {value}: give a value above 0")


def require_port(port: int, place: str, zero: str = "any free one") -> None:
    """Raise ConfigError unless `port` is a TCP port, or 0, which stands for `zero`."""
    require(0 <= port <= PORT_AT_MOST, f"{place} is {port}: give a TCP port, or 0 for {zero}")


def require_folder(folder: str, place: str) -> None:
    """Raise ConfigError unless `folder` is a folder, or a path where one can be made."""
    try:
        usable = bool(folder) and (Path(folder).is_dir() or not Path(folder).exists())
        reason = ""
    except OSError as error:  # such as a name that is too long
        usable, reason = False, f" ({error.strerror})"
    require(usable, f"{place} is '{folder}'{reason}: give a folder, which may be new")


def require_store(uri: str, place: str) -> None:
    """Raise ConfigError unless `uri` has the form of an address that MLflow accepts."""
    require(
        STORES.match(uri) is not None,
        f"{place} is '{uri}': give sqlite:///FILE, postgresql://... or the address of an MLflow "
        "server",
    )
