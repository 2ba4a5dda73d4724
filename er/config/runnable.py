"""Rules for commands that start or predict a deployment; er.load, which only sends, has fewer."""

from er.config.checks import require
from er.config.routing import Policy
from er.config.run import Config
from er.config.workload import (
    FixedWorkload,
    Lognormal,
    LognormalWorkload,
    MultiTurnWorkload,
    Range,
    SharedPrefixWorkload,
    Table,
    TableWorkload,
    UniformWorkload,
    Workload,
)


def require_runnable(config: Config) -> None:
    """Raise ConfigError when the parts of a configuration cannot run together."""
    require_own_deployment(config)
    experts, clusters = config.deployment.experts, config.routing.clusters
    require(
        experts in (1, clusters) or config.routing.policy is not Policy.kmeans,
        f"routing.clusters is {clusters}, deployment.{config.deployment.id} has {experts} experts: "
        "leave routing.clusters out",
    )
    most = getattr(config.engine, "max_num_tokens", None)
    longest = longest_prompt(config.workload)
    require(
        most is None or longest <= most or getattr(config.engine, "chunked_context", True),
        f"engine.max_num_tokens is {most}, and prompts of workload.{config.workload.name} have up "
        f"to {longest} tokens: give at least that, or engine.chunked_context=true",
    )


def require_own_deployment(config: Config) -> None:
    """Raise ConfigError for what only a gateway alone can have: experts that run already, whose
    GPUs are not checked, and TLS."""
    require(
        not config.gateway.experts,
        "gateway.experts is for python -m er.gateway, whose experts run already: this command "
        "starts its own: leave it out",
    )
    require(
        not getattr(config.gateway, "tls_certificate", ""),
        "gateway.tls_certificate is for python -m er.gateway: the gateway that this command starts "
        "is reached over plain HTTP: leave it out",
    )


def longest_prompt(workload: Workload) -> int:
    """Tokens of the longest prompt that a workload can make; 0 when only its file shows it."""
    match workload:
        case FixedWorkload():
            return workload.input_tokens
        case TableWorkload() | UniformWorkload() | LognormalWorkload():
            return longest(workload.input)
        case SharedPrefixWorkload():
            return workload.prefix_tokens + workload.suffix.at_most
        case MultiTurnWorkload():
            return workload.context_at_most
    return 0


def longest(lengths: Table | Range | Lognormal) -> int:
    """The most tokens that can be drawn."""
    if isinstance(lengths, Table):
        return min(lengths.at_most, round(lengths.tokens[-1] * lengths.scale))
    return lengths.at_most
