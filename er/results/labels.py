"""What tells runs apart, from their configurations as JSON has them."""

from collections.abc import Iterator, Sequence
from typing import Any


def engines(config: dict[str, Any]) -> str:
    """The engines of a deployment as they are set, such as "8 x llama3_70b int8 TP=1", and who
    chooses among them, unless it is the trained router."""
    deployment = config["deployment"]
    one = f"{deployment['model']['name']} {deployment['precision']} TP={deployment['tp']}"
    if deployment["experts"] == 1:
        return one
    routing = config["routing"]
    several = f"{deployment['experts']} x {one}"
    if routing["policy"] == "kmeans":
        return several
    shares = " " + ":".join(f"{share:g}" for share in routing["shares"])
    return f"{several}, {routing['policy']}{shares.rstrip()}"


def apart(configs: Sequence[dict[str, Any]]) -> list[str]:
    """For each run the settings, by name, in which it differs from others of the same engines on
    the same node type; empty for one that is alone."""
    flat = [dict(flatten(config)) for config in configs]
    kinds = [
        (config["deployment"]["id"], engines(config), config["hardware"]["name"])
        for config in configs
    ]
    found = []
    for mine, kind in zip(flat, kinds, strict=True):
        others = [other for other, theirs in zip(flat, kinds, strict=True) if theirs == kind]
        differing = [
            f"{name}={value}"
            for name, value in mine.items()
            if any(other.get(name) != value for other in others)
        ]
        found.append(" ".join(differing))
    return found


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
