"""Rules that every part of the schema shares."""

from er.errors import ConfigError


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
