"""Errors with a message for the person at the terminal."""


class ErError(Exception):
    """Something a user can fix. The message is one line: what, where, what to do."""


class OutOfTimeError(ErError):
    """The time of a batch job is over before all is measured: the same job again goes on."""


class ConfigError(ErError):
    """What was asked for cannot be run; found before anything is started."""
