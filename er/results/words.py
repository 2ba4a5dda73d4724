"""Numbers in sentences."""


def count_of(count: int, noun: str) -> str:
    """How many there are of something: `1 user`, `2 users`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def as_different(value: float, limit: float, digits: int = 1, kind: str = "f") -> tuple[str, str]:
    """A value and the limit that it breaks, with so many digits (`f`: after the point, `g`: in all)
    or as many as show that they differ."""
    texts = "", ""
    for count in range(digits, 18):
        texts = f"{value:.{count}{kind}}", f"{limit:.{count}{kind}}"
        if texts[0] != texts[1]:
            break
    return texts
