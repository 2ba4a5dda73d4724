"""Numbers in sentences."""


def count_of(count: int, noun: str) -> str:
    """How many there are of something: `1 user`, `2 users`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
