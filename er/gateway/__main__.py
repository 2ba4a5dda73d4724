"""Run the routing gateway: `python -m er.gateway ROUTER --expert URL --expert URL ...`.

A baseline needs no router: `python -m er.gateway --policy least_loaded --expert URL ...`.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from er.config import Policy
from er.errors import ErError
from er.gateway.app import application, listening
from er.routing import router
from er.routing.policies import Choose, baseline


def main() -> None:
    """Exit status 0 after SIGTERM, 1 for an error that is said in one line, 2 for wrong usage."""
    try:
        uvloop.run(serve(arguments()))
    except ErError as error:
        sys.exit(f"er.gateway: {error}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m er.gateway", description=__doc__)
    parser.add_argument("router", type=Path, nargs="?", help="file of a trained router")
    parser.add_argument(
        "--policy", choices=[policy.value for policy in Policy], default="kmeans",
        help="kmeans, the default, needs a router; the others are baselines without one",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the policy random")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=(), help="of the policy random; default: equal"
    )
    parser.add_argument(
        "--expert", action="append", required=True, metavar="URL", dest="experts",
        help="an expert's generate_stream, in the order of the router's clusters",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free port")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is open")
    parser.add_argument("--in-flight-at-most", type=int, default=4096, metavar="REQUESTS")
    options = parser.parse_args()
    options.policy = Policy(options.policy)
    if (options.router is None) is (options.policy is Policy.kmeans):
        parser.error("give a ROUTER to the policy kmeans, and to no other")
    return options


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises ErError when the router or the port does not do."""
    choose = chooser(options)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    app = application(options.policy, choose, options.experts, options.in_flight_at_most)
    async with listening(app, options.host, options.port) as port:
        print(
            f"er.gateway: {len(options.experts)} experts behind {options.host}:{port}, "
            f"policy {options.policy.value}",
            flush=True,
        )
        if options.port_file:
            options.port_file.write_text(f"{port}\n")
        await stopped.wait()


def chooser(options: argparse.Namespace) -> Choose:
    """The policy. Raises ErError when the router is damaged, or not for as many experts."""
    experts = len(options.experts)
    if options.policy is not Policy.kmeans:
        return baseline(options.policy, experts, options.seed, options.shares)
    trained = router.load(options.router)
    if trained.experts != experts:
        raise ErError(
            f"{options.router} chooses between {trained.experts} experts, --expert names "
            f"{experts}: give one for each"
        )
    return lambda text, _: trained.classify(text)


if __name__ == "__main__":
    main()
