"""Errors with a message for the user at the terminal."""


class ErError(Exception):
    """Something a user can fix. The message is one line: what, where, what to do."""


class OutOfTimeError(ErError):
    """A batch job's time is over before all is measured; the same job, run again, continues."""


class ConfigError(ErError):
    """The request cannot be run. Raised before anything is started."""
