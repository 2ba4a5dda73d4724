"""A part of a document that a command writes, between two comments."""

from pathlib import Path

from er.errors import ErError


def replace_between(file: Path, begin: str, end: str, text: str, *, add: bool = False) -> None:
    """Put `text` between the lines `begin` and `end` of a file.

    Where it has none they are added at its end with `add`; otherwise ErError is raised.
    """
    content = file.read_text()
    before, found, rest = content.partition(begin)
    _, ended, after = rest.partition(end)
    if not found and add:
        before, after, ended = content.rstrip("\n") + "\n\n", "\n", end
    elif not found or not ended:
        raise ErError(f"{file} has no place for it: add the lines {begin} and {end}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")
