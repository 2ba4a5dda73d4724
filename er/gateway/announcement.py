"""What a gateway says once it listens."""

import os
from pathlib import Path

from er.config import FastGateway
from er.errors import ErError
from er.gateway import keys
from er.gateway.output import say
from er.gateway.paths import in_url
from er.gateway.plan import Plan
from er.results.words import count_of


def announce(planned: Plan, port: int) -> None:
    """Print where the gateway listens and what it routes to.

    Raises ErError when the port's file cannot be written.
    """
    say(f"er.gateway: {describe(planned, port)}")
    for cluster, replicas in enumerate(planned.experts):
        say(f"  expert {cluster}: {' '.join(replicas)}")
    if planned.port_file:
        try:
            Path(planned.port_file).write_text(f"{port}\n")
        except OSError as error:
            raise ErError(f"{planned.port_file} cannot be written: {error.strerror}") from error


def describe(planned: Plan, port: int) -> str:
    """A gateway that listens on this port, in one line."""
    settings = planned.gateway
    fast = settings if isinstance(settings, FastGateway) else None
    scheme = "https" if fast and fast.tls_certificate else "http"
    experts = count_of(len(planned.experts), "expert")
    words = [
        f"{experts} behind {scheme}://{in_url(settings.host)}:{port}",
        f"policy {planned.policy.value}",
        f"gateway={settings.kind}",
    ]
    if fast:
        has_keys = fast.api_keys_file or keys.VARIABLE in os.environ
        words += [
            f"{fast.processes} process{'' if fast.processes == 1 else 'es'}",
            "API keys needed" if has_keys else "no API keys",
        ]
        if fast.admin_port:
            has_key = keys.ADMIN_VARIABLE in os.environ
            words.append(
                f"administration on http://127.0.0.1:{fast.admin_port} "
                f"({'a key' if has_key else 'no key'} needed)"
            )
    return ", ".join(words)
