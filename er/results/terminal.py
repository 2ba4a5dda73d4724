"""Lines and tables for people: as wide as their terminal, whole where there is none."""

import re
import shutil
import sys
import textwrap

from rich.console import Console

PLAIN_WIDTH = 100  # characters of a line of a table where output is not a terminal
CONTINUED = "  "  # before what continues a line, beyond the line's own indent
# Spaces that end no line: before units, after TTFT and TPOT, in `python -m er.claims`.
TOGETHER = re.compile(
    r"(?<=\d) (?=(?:ms|s|users?|requests?|tokens/s|MB|GB)\b)|(?<=TTFT|TPOT) (?=\d)"
    r"|(?<=python) (?=-m )|(?<=python -m) (?=\w)"
)
NO_BREAK = "\N{NO-BREAK SPACE}"


def width() -> int | None:
    """Characters in a line of the terminal; None where standard output is a file or a pipe, whose
    lines are not wrapped: programs read them."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def console(plain: int = PLAIN_WIDTH) -> Console:
    """For tables: as wide as the terminal, `plain` characters where there is none."""
    return Console(width=width() or plain)


def wrap(
    line: str, most: int | None, continued: str = CONTINUED, *, fold: bool = False
) -> list[str]:
    """The lines of at most so many characters that a line becomes; None: itself.

    It is broken between words only, so that paths stay whole however narrow it is, and not between
    a number and its unit; with `fold` also within a word that is longer than a line.
    """
    indent = line[: len(line) - len(line.lstrip())]
    if most is None or len(line) <= most:
        return [line]
    lines = textwrap.wrap(
        TOGETHER.sub(NO_BREAK, line.strip()), max(most, len(indent) + 20), initial_indent=indent,
        subsequent_indent=indent + continued, break_long_words=fold, break_on_hyphens=False,
    )  # fmt: skip
    return [part.replace(NO_BREAK, " ") for part in lines]


def say(line: str) -> None:
    """Print a line at once, wrapped."""
    print("\n".join(wrap(line, width())), flush=True)


def say_help(text: str, exit_codes: str) -> None:
    """Print the help of a command. In a terminal, sentences are filled to its width, and what
    continues a row stands below the row's last column."""
    if width() is None:
        print(f"{text}\n\nExit codes: {exit_codes}")
        return
    rows: list[tuple[str, str]] = []  # lines, and what stands before one that continues them
    for line in f"{text}\n\nExit codes: {exit_codes}".splitlines():
        row = re.match(r"\s+\S+(?: \S+)*\s{2,}", line)
        indent = line[: len(line) - len(line.lstrip())]
        if rows and line.strip() and rows[-1][0].strip() and not row and indent == rows[-1][1]:
            rows[-1] = f"{rows[-1][0]} {line.strip()}", indent
        else:
            rows.append((line, " " * row.end() if row else indent and f"{indent}{CONTINUED}"))
    for line, below in rows:
        indent = line[: len(line) - len(line.lstrip())]
        print("\n".join(wrap(line, width(), below.removeprefix(indent))))


def show(out: Console, line: str) -> None:
    """The same on a console."""
    for part in wrap(line, out.width if out.is_terminal else None):
        out.print(part, highlight=False, markup=False, soft_wrap=True)
