"""The gateway's own description, made of what it reads of requests."""

from typing import Any

import msgspec

from er.gateway.dialects import openai
from er.gateway.fast.routes import ROUTES

REQUIRED = {"chat/completions": "messages", "completions": "prompt"}
GENERATE: dict[str, Any] = {  # kept as it was written, but for the text: its types are Triton's
    "text_input": {"type": "string"},
    "max_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number"},
    "top_p": {"type": "number"},
    "random_seed": {"type": "integer"},
    "stop_words": {"type": "array", "items": {"type": "string"}},
}
GETS = ("/health", "/ready", "/metrics", "/v1/models", "/openapi.json")
CODES = ("200", "400", "401", "413", "415", "429", "502", "503", "504")


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    [request], schemas = msgspec.json.schema_components(
        [openai.Request], ref_template="#/components/schemas/{name}"
    )
    generate = {"type": "object", "properties": GENERATE, "required": ["text_input"]}
    answers = {code: {"description": "see docs/gateway.md"} for code in CODES}
    paths: dict[str, Any] = {}
    for path, route in ROUTES.items():
        schema: dict[str, Any] = generate
        if route.openai:
            schema = {"allOf": [request, {"required": [REQUIRED[route.action]]}]}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[path.decode()] = {"post": {"requestBody": body, "responses": answers}}
    for read in GETS:
        paths[read] = {"get": {"responses": {"200": answers["200"], "503": answers["503"]}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "er.gateway", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


DOCUMENT = document()  # msgspec imports what it needs for it, which is not to happen later
