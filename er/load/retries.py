"""When to send a request to a busy server (429) again: RFC 9110, 10.2.3, Retry-After."""

from collections.abc import Mapping
from datetime import UTC, datetime

TOO_MANY = 429
WAIT_AT_MOST_S = 30.0  # a request that is to wait longer has failed
WAIT_AT_LEAST_S = 0.1  # also when the server asks for less
DIGITS = 9  # that are read of a number of seconds: enough for any wait


def wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before a request is sent again; None when it is not to be sent again."""
    if status != TOO_MANY:
        return None
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        seconds = float(value[:DIGITS])
    else:
        from email.utils import parsedate_to_datetime  # imported only here: it takes megabytes

        try:
            date = parsedate_to_datetime(value)
            date = (
                date if date.tzinfo else date.replace(tzinfo=UTC)
            )  # the format of asctime has no zone
            seconds = (date - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError, TypeError):
            return None
    return max(WAIT_AT_LEAST_S, seconds) if seconds <= WAIT_AT_MOST_S else None
