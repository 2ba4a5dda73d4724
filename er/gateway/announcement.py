"""What a gateway says once it listens."""

from pathlib import Path

from er.errors import ErError
from er.gateway.output import say
from er.gateway.plan import Plan


def announce(planned: Plan, port: int) -> None:
    """Print where the gateway listens and what it routes to.

    Raises ErError when the port's file cannot be written.
    """
    say(
        f"er.gateway: {len(planned.experts)} experts behind {planned.gateway.host}:{port}, "
        f"policy {planned.policy.value}, gateway={planned.gateway.kind}"
    )
    for cluster, replicas in enumerate(planned.experts):
        say(f"  expert {cluster}: {' '.join(replicas)}")
    if planned.port_file:
        try:
            Path(planned.port_file).write_text(f"{port}\n")
        except OSError as error:
            raise ErError(f"{planned.port_file} cannot be written: {error.strerror}") from error
