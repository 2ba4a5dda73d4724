"""Replace the part of a document between two marker lines."""

from pathlib import Path

from er.errors import ConfigError, ErError


def replace_between(file: Path, begin: str, end: str, text: str, *, add: bool = False) -> None:
    """Replace the text between the lines `begin` and `end` of a file.

    With `add`, missing lines are added at the end of the file; otherwise ConfigError is raised.
    Raises ErError when the file cannot be written.
    """
    before, after = around(file, begin, end, add=add)
    try:
        file.write_text(f"{before}{begin}\n{text}\n{end}{after}")
    except OSError as error:
        raise ErError(f"cannot write {file}: {error.strerror}") from error


def around(file: Path, begin: str, end: str, *, add: bool = False) -> tuple[str, str]:
    """The parts of a file before the line `begin` and after the line `end`.

    Without these lines, `add` puts them at the end. Raises ConfigError when the file cannot be read
    or has no such lines, so that a command can check before it works.
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
