"""Run the routing gateway: `python -m er.gateway ROUTER --expert URL --expert URL ...`."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from er.errors import ErError
from er.gateway.app import application, listening
from er.routing.router import load


def main() -> None:
    """Exit status 0 after SIGTERM, 1 for an error that is said in one line, 2 for wrong usage."""
    try:
        uvloop.run(serve(arguments()))
    except ErError as error:
        sys.exit(f"er.gateway: {error}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m er.gateway", description=__doc__)
    parser.add_argument("router", type=Path, help="file of a trained router")
    parser.add_argument(
        "--expert", action="append", required=True, metavar="URL", dest="experts",
        help="an expert's generate_stream, in the order of the router's clusters",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free port")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is open")
    parser.add_argument("--in-flight-at-most", type=int, default=4096, metavar="REQUESTS")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises ErError when the router or the port does not do."""
    router = load(options.router)
    if router.experts != len(options.experts):
        raise ErError(
            f"{options.router} chooses between {router.experts} experts, --expert names "
            f"{len(options.experts)}: give one for each"
        )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    app = application(router, options.experts, options.in_flight_at_most)
    async with listening(app, options.host, options.port) as port:
        print(f"er.gateway: {router.experts} experts behind {options.host}:{port}", flush=True)
        if options.port_file:
            options.port_file.write_text(f"{port}\n")
        await stopped.wait()


if __name__ == "__main__":
    main()
