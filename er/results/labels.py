"""What tells runs apart, from their configurations as JSON has them."""

from collections.abc import Iterator, Sequence
from typing import Any

# Shown in the name of a run, or without influence on what is measured.
UNSAID = (
    *("deployment", "deployment.precision", "deployment.tp"),
    *("clock", "experiment", "figures", "hardware", "routing.policy", "seed"),
    *("engine.max_batch_size", "deployment.behind_gateway"),
    *("cache_dir", "load.concurrency", "resume", "runs_dir", "study"),
)
# What the name of a run does not say.
USUAL = {
    "engine.kind": "simulated",
    "engine.max_batch_size": 256,
    "gateway.kind": "fast",
    "hardware.name": "h100_sxm",
    "routing.policy": "kmeans",
}
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


def count_users(concurrency: int) -> str:
    """Such as "1 user" or "1,000 users"."""
    return f"{concurrency:,} user{'' if concurrency == 1 else 's'}"


def run_name(config: dict[str, Any], command: Sequence[str] = ()) -> str:
    """What tells a run from others of its study, in few letters, for MLflow's table shows the first
    twenty: deployment, what is unusual about it, and the settings that `command`, an argument list,
    names."""
    if "deployment" not in config:
        return f"{config['target']['model']}: {config['target']['url']}"
    deployment, flat = config["deployment"], dict(flatten(config))
    parts = [f"{deployment['id'].upper()} {deployment['precision'].upper()} TP{deployment['tp']}"]
    if deployment["experts"] > 1 or deployment.get("behind_gateway"):
        policy, gateway = flat["routing.policy"], flat["gateway.kind"]
        parts += [policy] if policy != USUAL["routing.policy"] else []
        one = deployment["experts"] == 1  # what a gateway before it costs is asked
        parts += [f"{gateway} gateway"] if one or gateway != USUAL["gateway.kind"] else []
    batch = flat.get("engine.max_batch_size")
    parts += [f"batch {batch}"] if batch not in (None, USUAL["engine.max_batch_size"]) else []
    parts += [f"seed {config['seed']}"] if config["seed"] else []
    parts += [flat[n] for n in ("hardware.name", "engine.kind") if flat[n] != USUAL[n]]
    virtual = ["predicted"] if config["clock"]["kind"] == "virtual" else []
    return ", ".join([" ".join(parts), *named_settings(config, command), *virtual])


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
