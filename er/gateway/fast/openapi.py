"""The gateway's own description, from which it is also tested."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 64}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    triton = _body(
        {"text_input": TEXT, "max_tokens": WHOLE, "stream": {"type": "boolean"}}, "text_input"
    )
    message = {
        "type": "object",
        "properties": {"role": TEXT, "content": TEXT},
        "required": ["role", "content"],
    }
    messages = {"type": "array", "items": message, "minItems": 1}
    common = {"model": TEXT, "max_tokens": WHOLE, "stream": {"type": "boolean"}}
    posts = {
        "/v2/models/ensemble/generate_stream": triton,
        "/v2/models/ensemble/generate": triton,
        "/v1/chat/completions": _body({"messages": messages, **common}, "messages"),
        "/v1/completions": _body({"prompt": TEXT, **common}, "prompt"),
    }
    gets = ("/health", "/ready", "/metrics", "/v1/models", "/openapi.json")
    codes = ("200", "400", "401", "413", "415", "429", "502", "503", "504")
    answers = {code: {"description": "see docs/gateway.md"} for code in codes}
    paths: dict[str, Any] = {
        path: {"post": {"requestBody": body, "responses": answers}} for path, body in posts.items()
    }
    for path in gets:
        paths[path] = {"get": {"responses": {"200": answers["200"], "503": answers["503"]}}}
    return {"openapi": "3.1.0", "info": {"title": "er.gateway", "version": "1"}, "paths": paths}


def _body(properties: dict[str, Any], required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": [required]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
