"""One gateway until TERM: `python -m er.gateway.process PLAN`. HUP reads its router again, where
it is of the kind fast; USR1 and USR2, which others take for logs and the like, are passed over.
"""

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import uvloop

from er import cli
from er.config import FastGateway
from er.errors import ErError
from er.gateway import choosers, descriptors, plan
from er.gateway.announcement import announce
from er.gateway.output import open_standard_files
from er.gateway.plan import Plan


def main() -> int:
    """0 after TERM or INT, else the code of an error, which is printed in one line."""
    open_standard_files()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    try:
        with cli.loading():
            planned = plan.read(Path(sys.argv[1]))
            descriptors.require(planned.gateway)
            if isinstance(planned.gateway, FastGateway):
                from er.gateway.fast import processes

                run = processes.prepare(planned)
            else:
                gateway = build_simple(planned)
                run = lambda: uvloop.run(serve(planned, gateway))  # noqa: E731
        run()
    except ErError as error:
        return cli.fail("er.gateway", error, cli.exit_code(error))
    return 0


def build_simple(planned: Plan) -> AbstractAsyncContextManager[int]:
    """A gateway on aiohttp, ready to listen. Raises ErError when its router is damaged."""
    from er.gateway.simple import app

    settings = planned.gateway
    shape = planned.shape
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
        announce(planned, port)
        await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
