"""Names of runs and differences between them, from their configurations as JSON has them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

# Settings that a run's name shows anyway, or that do not influence what is measured.
OMITTED = (
    *("deployment", "deployment.precision", "deployment.tp"),
    *("clock", "experiment", "figures", "hardware", "routing.policy", "seed"),
    *("engine.max_batch_size", "deployment.behind_gateway"),
    *("cache_dir", "load.concurrency", "resume", "runs_dir", "study"),
)
# Default values, which the name of a run does not mention.
USUAL = {
    "engine.kind": "simulated",
    "engine.max_batch_size": 256,
    "gateway.kind": "fast",
    "hardware.name": "h100_sxm",
    "routing.policy": "kmeans",
}
VIEWS = ("study", "figures", "repeats")  # what is made of runs: not a difference between them
OMITTED_GROUPS = ("gateway", "hydra", "server", "tracking")


def engines(config: dict[str, Any]) -> str:
    """The engines of a deployment, such as "8 x llama3_70b int8 TP=1", and their routing policy.

    The policy is left out for the trained router.
    """
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


def deployment_name(deployment: str) -> str:
    """A row of Table I, or a numbered variant of one, by its letter, such as A or A2."""
    return deployment.upper() if re.fullmatch(r"[a-z]\d*", deployment) else deployment


def count_users(concurrency: int) -> str:
    """A number of users as text, such as "1 user" or "1,000 users"."""
    return f"{concurrency:,} user{'' if concurrency == 1 else 's'}"


def run_name(config: dict[str, Any], command: Sequence[str] = ()) -> str:
    """A short name that distinguishes a run from others of its study.

    It has the deployment, unusual values, and the settings that `command`, a list of arguments,
    names. It is short since MLflow's table shows about twenty characters.
    """
    if "deployment" not in config:
        return f"{config['target']['model']}: {config['target']['url']}"
    deployment, flat = config["deployment"], dict(flatten(config))
    parts = [f"{deployment['id'].upper()} {deployment['precision'].upper()} TP{deployment['tp']}"]
    if deployment["experts"] > 1 or deployment.get("behind_gateway"):
        policy, gateway = flat["routing.policy"], flat["gateway.kind"]
        parts += [policy] if policy != USUAL["routing.policy"] else []
        one = deployment["experts"] == 1  # the run measures what a gateway costs
        parts += [f"{gateway} gateway"] if one or gateway != USUAL["gateway.kind"] else []
    batch = flat.get("engine.max_batch_size")
    parts += [f"batch {batch}"] if batch not in (None, USUAL["engine.max_batch_size"]) else []
    parts += [f"seed {config['seed']}"] if config["seed"] else []
    parts += [flat[n] for n in ("hardware.name", "engine.kind") if flat[n] != USUAL[n]]
    virtual = ["predicted"] if config["clock"]["kind"] == "virtual" else []
    return ", ".join([" ".join(parts), *named_settings(config, command), *virtual])


def named_settings(config: dict[str, Any], command: Sequence[str]) -> list[str]:
    """The settings that overrides in `command` name, each with the run's own value.

    Settings that the title shows, or that do not influence what is measured, are left out.
    """
    flat = dict(flatten(config))
    found = []
    for argument in command:
        key, equals, _ = argument.lstrip("+").partition("=")
        if not equals or key in OMITTED:
            continue
        if key.partition(".")[0] in OMITTED_GROUPS:
            continue
        value = flat.get(key, flat.get(f"{key}.name", flat.get(f"{key}.kind")))
        if value is not None:
            found.append(f"{key}={value}")
    return found


def apart(configs: Sequence[dict[str, Any]]) -> list[str]:
    """For each run, the settings that differ from others with the same engines and hardware.

    Empty for a run without such others.
    """
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
        if "gateway.kind" in differing:  # the other settings of the gateway follow from it
            differing = {
                name: value
                for name, value in differing.items()
                if name == "gateway.kind" or not name.startswith(("gateway.", "clock.gateway_s"))
            }
        found.append(" ".join(f"{name}={value}" for name, value in differing.items()))
    return found


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested sections, by their keys joined with dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
