"""The id of a command: all its runs have it as the tag `er.sweep`, a later command a later one."""

import uuid
from datetime import UTC, datetime

FORMAT = "%Y%m%dT%H%M%S.%f%z"  # before the first hyphen: when the command was given


def new_id() -> str:
    """An id for a command that is given now."""
    return f"{datetime.now(UTC).strftime(FORMAT)}-{uuid.uuid4().hex[:8]}"


def given_ms(command: str) -> int | None:
    """When a command was given, in milliseconds since 1970; None where its id does not say."""
    try:
        given = datetime.strptime(command.partition("-")[0], FORMAT)
    except ValueError:
        return None
    return int(given.timestamp() * 1000)
