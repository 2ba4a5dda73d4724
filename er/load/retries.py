"""When a server that is too busy (429) wants a request again: RFC 9110, 10.2.3, Retry-After."""

from collections.abc import Mapping
from datetime import UTC, datetime

TOO_MANY = 429
WAIT_AT_MOST_S = 30.0  # a longer wait is a failure
WAIT_AT_LEAST_S = 0.1  # whatever a server says: it is too busy


def wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    """How long to wait before a request is sent again; None where it is not."""
    if status != TOO_MANY:
        return None
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        seconds = float(value[:9])
    else:
        from email.utils import parsedate_to_datetime  # here: it takes megabytes

        try:
            date = parsedate_to_datetime(value)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)  # asctime's form has no zone
            seconds = (date - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError, TypeError):
            return None
    return max(WAIT_AT_LEAST_S, seconds) if seconds <= WAIT_AT_MOST_S else None
