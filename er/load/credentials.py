"""What identifies the caller to a server: from the environment, in no file, log or process list."""

import base64
import os
import re
from urllib.parse import unquote, urlsplit

from er.config import Load
from er.errors import ConfigError
from er.results.request import Endpoint

OPENAI_PATHS = ("/completions", "/chat/completions")
AUTHORIZATION = "ER_AUTHORIZATION"  # of this process and its workers: the header's whole value
TARGET = re.compile(r"(target=\w+://)([^/?#]*)@(.*)", re.DOTALL)
KEYS = ("ER_API_KEY", "OPENAI_API_KEY")
PRINTABLE = re.compile(r"[\x20-\x7e]+")


def hide_password(arguments: list[str]) -> None:
    """Take a name and a password out of `target=` of a command line, and send them as a header.

    They stay in this process and its workers: what is kept with a run is the command without them.
    """
    for place, argument in enumerate(arguments):
        found = TARGET.fullmatch(argument)
        if found:
            name, _, password = found[2].partition(":")
            pair = f"{unquote(name)}:{unquote(password)}".encode()
            os.environ[AUTHORIZATION] = f"Basic {base64.b64encode(pair).decode()}"
            arguments[place] = found[1] + found[3]


def headers(endpoint: Endpoint) -> dict[str, str]:
    """What the environment has for `endpoint`: a name and a password, `ER_API_KEY`, or to OpenAI's
    dialect `OPENAI_API_KEY`; and the values of `load.headers`."""
    found = {name.lower(): os.environ[variable].strip() for name, variable in endpoint.headers}
    key = os.environ.get("ER_API_KEY", "").strip()
    if not key and urlsplit(endpoint.url).path.endswith(OPENAI_PATHS):
        key = os.environ.get("OPENAI_API_KEY", "").strip()
    given = os.environ.get(AUTHORIZATION, "") or (f"Bearer {key}" if key else "")
    return ({"authorization": given} if given else {}) | found


def check(load: Load) -> None:
    """Raise ConfigError, which names no value, for a key that no header can hold, and unless every
    header of `load` has a value."""
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
