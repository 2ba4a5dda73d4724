"""The key that a server wants, from the environment: it is in no file, log or process list."""

import os
from urllib.parse import urlsplit

from er.results.request import Endpoint

OPENAI_PATHS = ("/completions", "/chat/completions")


def headers(endpoint: Endpoint) -> dict[str, str]:
    """What identifies the caller: `ER_API_KEY`, or to OpenAI's dialect `OPENAI_API_KEY`."""
    key = os.environ.get("ER_API_KEY", "")
    if not key and urlsplit(endpoint.url).path.endswith(OPENAI_PATHS):
        key = os.environ.get("OPENAI_API_KEY", "")
    return {"authorization": f"Bearer {key.strip()}"} if key.strip() else {}
