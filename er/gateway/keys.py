"""API keys: who may send prompts. Keys are compared in constant time and never logged."""

import hmac
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from er.config import FastGateway
from er.errors import ConfigError

VARIABLE = "ER_GATEWAY_API_KEYS"  # NAME:KEY,NAME:KEY
ADMIN_VARIABLE = "ER_GATEWAY_ADMIN_KEY"
AT_LEAST = 8  # characters of a key


class Keys:
    """Names by their keys, several for one name too; without any, every request is accepted."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        self._digests = [(name, sha256(key.encode()).digest()) for name, key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def name_of(self, authorization: bytes, api_key: bytes) -> str:
        """The name of the key that a request carries; empty for an unknown key."""
        scheme, _, bearer = authorization.partition(b" ")
        given = bearer.strip() if scheme.lower() == b"bearer" else api_key
        digest = sha256(given).digest()
        found = ""
        for name, known in self._digests:  # all of them: the time taken reveals nothing
            if hmac.compare_digest(digest, known):
                found = name
        return found


def read(file: str) -> Keys:
    """Keys of a file with a line NAME:KEY for each, and of the environment.

    Raises ConfigError when the file cannot be read, a line is none, two names have the same key,
    or there are none where keys are wanted.
    """
    entries = [
        (f"{VARIABLE}, entry {number}", entry)
        for number, entry in enumerate(os.environ.get(VARIABLE, "").split(","), 1)
    ]
    if file:
        entries += [(f"{file}, line {number}", line) for number, line in _lines(file)]
    names: dict[str, str] = {}
    for place, entry in entries:
        if not entry.strip():
            continue
        name, key = _parse(entry.strip(), place)
        if names.setdefault(key, name) != name:
            raise ConfigError(f"{place}: {names[key]} has this API key too: give each name its own")
    if not names and (file or VARIABLE in os.environ):
        raise ConfigError(f"{file or VARIABLE} has no API keys: give NAME:KEY, or leave it out")
    return Keys([(name, key) for key, name in names.items()])


def read_admin(settings: FastGateway) -> Keys:
    """The administrator's key; none where there is no administration, or it needs no key.

    Raises ConfigError for one that is empty or short.
    """
    key = os.environ.get(ADMIN_VARIABLE)
    if not settings.admin_port or key is None:
        return Keys([])
    if not _is_long(key):
        raise ConfigError(
            f"{ADMIN_VARIABLE} has {len(key)} characters: give a key of {AT_LEAST} or more without "
            "spaces, or unset it (no key)"
        )
    return Keys([("admin", key)])


def _lines(file: str) -> list[tuple[int, str]]:
    """The lines of a file that are no comments, with their numbers. Raises ConfigError."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"gateway.api_keys_file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"gateway.api_keys_file {file} is no text in UTF-8") from error
    return [(at, line) for at, line in enumerate(lines, 1) if not line.strip().startswith("#")]


def _parse(entry: str, place: str) -> tuple[str, str]:
    """Name and key. Raises ConfigError, which does not print the key, for what is no entry."""
    name, colon, key = entry.partition(":")
    if not (colon and name and name.isprintable() and " " not in name):
        raise ConfigError(f"{place}: give NAME:KEY, with a name without spaces")
    if not _is_long(key):
        raise ConfigError(f"{place}: give a key of {AT_LEAST} characters or more, without spaces")
    return name, key


def _is_long(key: str) -> bool:
    return len(key) >= AT_LEAST and key.isprintable() and " " not in key
