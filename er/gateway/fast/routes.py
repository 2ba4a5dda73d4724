"""The data plane's paths: which dialect is spoken there, and where the prompt is."""

from collections.abc import Callable
from typing import NamedTuple

from er.gateway.dialects import triton


class Route(NamedTuple):
    """One path that is relayed."""

    action: str  # how an expert's path ends that speaks the same dialect
    openai: bool
    prompt: Callable[[bytes], str]  # raises ValueError where there is none


GENERATE_STREAM = Route("generate_stream", openai=False, prompt=triton.prompt)
GENERATE = Route("generate", openai=False, prompt=triton.prompt)
ROUTES = {
    b"/v2/models/ensemble/generate_stream": GENERATE_STREAM,
    b"/v2/models/ensemble/generate": GENERATE,
}
