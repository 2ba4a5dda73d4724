"""What tells runs apart, from their configurations as JSON has them."""

from collections.abc import Iterator, Sequence
from typing import Any

from er.config.title import title

# Shown in or beside the title, or without influence on what is measured.
UNSAID = (
    *("deployment", "deployment.experts", "deployment.precision", "deployment.tp"),
    *("clock", "clock.failures", "experiment", "figures", "hardware", "routing.policy", "seed"),
    *("cache_dir", "load.concurrency", "resume", "runs_dir", "study"),
)
VIEWS = ("study", "figures", "repeats")  # what is made of runs, which does not tell them apart
UNSAID_GROUPS = ("gateway", "hydra", "server", "tracking")


def engines(config: dict[str, Any]) -> str:
    """The engines of a deployment as they are set, such as "8 x llama3_70b int8 TP=1", and who
    chooses among them, unless it is the trained router."""
    deployment = config["deployment"]
    one = f"{deployment['model']['name']} {deployment['precision']} TP={deployment['tp']}"
    if deployment["experts"] == 1:
        return f"{one} behind a gateway" if deployment.get("behind_gateway") else one
    routing = config["routing"]
    several = f"{deployment['experts']} x {one}"
    if routing["policy"] == "kmeans":
        return several
    shares = " " + ":".join(f"{share:g}" for share in routing["shares"])
    return f"{several}, {routing['policy']}{shares.rstrip()}"


def run_name(config: dict[str, Any], command: Sequence[str] = ()) -> str:
    """What tells a run from others of its study: deployment, node type, seed where it is not 0,
    clock, and the settings that `command`, an argument list, names."""
    if "deployment" not in config:
        return f"{config['target']['model']}: {config['target']['url']}"
    parts = [f"{config['deployment']['id'].upper()}: {title(config)}", config["hardware"]["name"]]
    if config["seed"]:
        parts.append(f"seed {config['seed']}")
    if config["clock"]["kind"] == "virtual":
        parts.append("predicted")
    elif config["engine"]["kind"] != "simulated":
        parts.append(config["engine"]["kind"])
    return ", ".join([*parts, *named_settings(config, command)])


def named_settings(config: dict[str, Any], command: Sequence[str]) -> list[str]:
    """The settings that overrides in `command` name, each with this run's own value, but those
    that the title says or that decide nothing that is measured."""
    flat = dict(flatten(config))
    found = []
    for argument in command:
        key, equals, _ = argument.lstrip("+").partition("=")
        if not equals or key in UNSAID:
            continue
        if key.partition(".")[0] in UNSAID_GROUPS:
            continue
        value = flat.get(key, flat.get(f"{key}.name", flat.get(f"{key}.kind")))
        if value is not None:
            found.append(f"{key}={value}")
    return found


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
        differing = {
            name: value
            for name, value in mine.items()
            if name not in VIEWS and any(other.get(name) != value for other in others)
        }
        if "gateway.kind" in differing:  # from which the rest of it follows
            differing = {
                name: value
                for name, value in differing.items()
                if name == "gateway.kind" or not name.startswith(("gateway.", "clock.gateway_s"))
            }
        found.append(" ".join(f"{name}={value}" for name, value in differing.items()))
    return found


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
