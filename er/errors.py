"""Errors whose message is written for the person at the terminal."""


class ErError(Exception):
    """Something a user can mend. The message is one line: what, where, what to do."""


class ConfigError(ErError):
    """What was asked for cannot be run; found before anything is started."""
