"""API keys: who may send prompts. Keys are compared in constant time and never logged."""

import hmac
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from er.errors import ConfigError

VARIABLE = "ER_GATEWAY_API_KEYS"  # NAME:KEY,NAME:KEY
ADMIN_VARIABLE = "ER_GATEWAY_ADMIN_KEY"


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

    Raises ConfigError when the file cannot be read, a line is none, or there are none where keys
    are wanted.
    """
    lines = os.environ.get(VARIABLE, "").split(",")
    if file:
        try:
            lines += Path(file).read_text().splitlines()
        except OSError as error:
            raise ConfigError(f"gateway.api_keys_file {file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"gateway.api_keys_file {file} is no text in UTF-8") from error
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, key = line.strip().partition(":")
        if not (name and colon and len(key) >= 8):
            raise ConfigError(
                f"API key {number} is not NAME:KEY with a key of 8 characters or more"
            )
        keys.append((name, key))
    if not keys and (file or VARIABLE in os.environ):
        raise ConfigError(f"{file or VARIABLE} has no API keys: give NAME:KEY, or leave it out")
    return Keys(keys)
