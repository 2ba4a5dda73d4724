"""Write numbers in sentences."""

from collections.abc import Sequence

CUT_OFF = "the answer was cut off: fewer tokens than asked for, and no end"
DIGITS_OF_FLOAT = 17  # that distinguish any two floating-point numbers


def count_of(count: int, noun: str) -> str:
    """A number with its noun: `1 user`, `2 users`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def either(names: Sequence[str]) -> str:
    """A choice of names: `a`, `a or b`, `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def as_different(value: float, limit: float, digits: int = 1, kind: str = "f") -> tuple[str, str]:
    """A value and the limit that it breaks, with as many digits as show that they differ.

    At least `digits`: after the point with `kind` "f", in total with "g".
    """
    texts = "", ""
    for count in range(digits, DIGITS_OF_FLOAT + 1):
        texts = f"{value:.{count}{kind}}", f"{limit:.{count}{kind}}"
        if texts[0] != texts[1]:
            break
    return texts
