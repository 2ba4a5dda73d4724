"""Credentials for a server: from the environment, and never in a file, log or process list."""

import base64
import os
import re
from urllib.parse import unquote, urlsplit

from er.config import Load
from er.errors import ConfigError
from er.results.request import Endpoint

OPENAI_PATHS = ("/completions", "/chat/completions")
AUTHORIZATION = "ER_AUTHORIZATION"  # variable of this process and its workers: the header's value
TARGET = re.compile(r"(target=\w+://)([^/?#]*)@(.*)", re.DOTALL)
KEYS = ("ER_API_KEY", "OPENAI_API_KEY")
PRINTABLE = re.compile(r"[\x20-\x7e]+")


def hide_password(arguments: list[str]) -> None:
    """Move a name and a password from `target=` of a command line to a header of requests.

    Changes `arguments`: a run stores its command line. The header's value goes to the environment
    of this process and its workers.
    """
    for place, argument in enumerate(arguments):
        found = TARGET.fullmatch(argument)
        if found:
            name, _, password = found[2].partition(":")
            pair = f"{unquote(name)}:{unquote(password)}".encode()
            os.environ[AUTHORIZATION] = f"Basic {base64.b64encode(pair).decode()}"
            arguments[place] = found[1] + found[3]


def headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers for `endpoint`: authorization, and those of `load.headers`.

    Authorization is the password of `target=`, or `ER_API_KEY`, or for OpenAI's dialect
    `OPENAI_API_KEY`.
    """
    found = {name.lower(): os.environ[variable].strip() for name, variable in endpoint.headers}
    key = os.environ.get("ER_API_KEY", "").strip()
    if not key and urlsplit(endpoint.url).path.endswith(OPENAI_PATHS):
        key = os.environ.get("OPENAI_API_KEY", "").strip()
    given = os.environ.get(AUTHORIZATION, "") or (f"Bearer {key}" if key else "")
    return ({"authorization": given} if given else {}) | found


def check(load: Load) -> None:
    """Raise ConfigError for a key that a header cannot hold, or a header without a value.

    The message does not show values.
    """
    for variable in KEYS:
        key = os.environ.get(variable, "").strip()
        if key and not PRINTABLE.fullmatch(key):
            raise ConfigError(f"${variable} is not one printable line: export the key alone")
    for name, variable in load.headers.items():
        if not PRINTABLE.fullmatch(os.environ.get(variable, "").strip()):
            raise ConfigError(
                f"load.headers sends {name} with the value of ${variable}, which is "
                f"{'not one printable line' if os.environ.get(variable) else 'not set'}: export it"
            )
