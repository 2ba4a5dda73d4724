"""A part of a document that a command writes, between two comments."""

from pathlib import Path

from er.errors import ConfigError, ErError


def replace_between(file: Path, begin: str, end: str, text: str, *, add: bool = False) -> None:
    """Put `text` between the lines `begin` and `end` of a file.

    Where it has none they are added at its end with `add`; otherwise ConfigError is raised, and
    ErError where it cannot be written.
    """
    before, after = around(file, begin, end, add=add)
    try:
        file.write_text(f"{before}{begin}\n{text}\n{end}{after}")
    except OSError as error:
        raise ErError(f"cannot write {file}: {error.strerror}") from error


def around(file: Path, begin: str, end: str, *, add: bool = False) -> tuple[str, str]:
    """What stands before and after the place for a text; with `add` there is always one.

    Raises ConfigError, so that a command can look before it works, when there is none.
    """
    try:
        content = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"cannot write into {file}: {reason}: give a text file") from error
    before, found, rest = content.partition(begin)
    _, ended, after = rest.partition(end)
    if not found and add:
        return content.rstrip("\n") + "\n\n", "\n"
    if not found or not ended:
        raise ConfigError(f"{file} has no place for it: add the lines {begin} and {end}")
    return before, after
