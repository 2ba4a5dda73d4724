"""One gateway until TERM: `python -m er.gateway.process PLAN`."""

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import uvloop

from er import cli
from er.config import FastGateway
from er.errors import ErError
from er.gateway import choosers, plan
from er.gateway.plan import Plan


def main() -> None:
    """Exit code 0 after TERM or INT, 1 for an error that is told in one line."""
    with cli.loading():
        try:
            planned = plan.read(Path(sys.argv[1]))
            gateway = build(planned)
        except ErError as error:
            sys.exit(cli.fail("er.gateway", error, 1))
    try:
        uvloop.run(serve(planned, gateway))
    except ErError as error:
        sys.exit(cli.fail("er.gateway", error, 1))


def build(planned: Plan) -> AbstractAsyncContextManager[int]:
    """The gateway, ready to listen. Raises ErError when its router is damaged."""
    settings = planned.gateway
    router = Path(planned.router) if planned.router else None
    shape = (planned.policy, router, len(planned.experts), planned.seed, planned.shares)
    if isinstance(settings, FastGateway):
        from er.gateway.fast import server

        server.raise_descriptor_limit(settings)
        chooser = choosers.chooser(*shape)
        state = server.Server(settings, chooser, planned.policy.value, planned.experts)
        return server.listening(state, settings.host, settings.port)
    from er.gateway.simple import app

    if any(len(replicas) > 1 for replicas in planned.experts):
        raise ErError(f"gateway={settings.kind} knows no replicas: choose gateway=fast")
    if settings.kind == "sklearn":
        from er.gateway.simple.sklearn_pipeline import chooser as slow_chooser

        choose = slow_chooser(*shape)
    else:
        chosen = choosers.chooser(*shape)
        choose = lambda text, loads: chosen.choose(text, loads)[0]  # noqa: E731
    urls = [replicas[0] for replicas in planned.experts]
    application = app.application(planned.policy, choose, urls, settings.in_flight_at_most)
    return app.listening(application, settings.host, settings.port)


async def serve(planned: Plan, gateway: AbstractAsyncContextManager[int]) -> None:
    """Serve until TERM or INT. Raises ErError when the port cannot be opened."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with gateway as port:
        print(
            f"er.gateway: {len(planned.experts)} experts behind {planned.gateway.host}:{port}, "
            f"policy {planned.policy.value}, {planned.gateway.kind}",
            flush=True,
        )
        if planned.port_file:
            write_port(Path(planned.port_file), port)
        await stopped.wait()


def write_port(path: Path, port: int) -> None:
    """Tell the port. Raises ErError when the file cannot be written."""
    try:
        path.write_text(f"{port}\n")
    except OSError as error:
        raise ErError(f"{path} cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    main()
