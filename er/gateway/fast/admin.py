"""Administration, on a port of its own: experts in and out, another router, a router in shadow.

Each command is a JSON object; every process of the gateway carries it out.
"""

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from er.config.gateway import require_address
from er.errors import ErError
from er.gateway import counts as slots
from er.gateway.fast import probe, routers
from er.gateway.fast.commands import Command, Commands
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request
from er.gateway.keys import Keys
from er.gateway.output import say

if TYPE_CHECKING:
    from er.gateway.choosers import Chooser
    from er.gateway.fast.replica import Replica
    from er.gateway.fast.server import Server

DISCOVER_S = 1.0  # for a new expert to name its model
PLACE, ROUTER = ("expert", "url"), ("router",)
COMMANDS = {  # with what each may say
    "drain": PLACE, "restore": PLACE, "add": PLACE, "remove": PLACE,
    "reload": ROUTER, "shadow": ROUTER,
}  # fmt: skip


class Fields(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a command may say."""

    expert: int | None = None  # number of the cluster
    url: str | None = None
    router: str | None = None  # file


def require_key(known: Keys, request: Request) -> None:
    """Raise Refusal for a browser, or where there is an administrator's key that is not given."""
    given = request.head.header(b"authorization"), request.head.header(b"x-api-key")
    if known and not known.name_of(*given):
        raise Refusal(401, "unauthorized", "the administrator's key is needed")
    if request.head.header(b"origin"):  # any page could send commands from here
        raise Refusal(403, "unauthorized", "administration is not for browsers")


def describe(server: "Server") -> dict[str, Any]:
    """The experts, as they are."""
    return {
        "experts": [
            {
                "expert": replica.cluster,
                "url": replica.url,
                "usable": replica.usable,
                "drained": replica.drained,
                "in_flight": int(server.counts.total(slots.IN_FLIGHT + replica.slot)),
                "failures_in_a_row": replica.failures,
            }
            for replica in server.experts.replicas
            if not replica.removed
        ],
        "router": server.chooser.digest,
        "shadow": server.shadow.digest if server.shadow else "",
    }


def parse(name: str, body: bytes) -> Command:
    """A command. Raises Refusal when it is none."""
    try:
        fields = msgspec.json.decode(body or b"{}", type=Fields)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "bad_request", f"a command is a JSON object: {error}") from None
    if name not in COMMANDS:
        raise Refusal(400, "bad_request", f"commands are {', '.join(COMMANDS)}")
    given: Command = msgspec.to_builtins(fields)
    if foreign := given.keys() - COMMANDS[name]:
        words = " and ".join(COMMANDS[name])
        raise Refusal(400, "bad_request", f"{name} takes {words}, not {min(foreign)}")
    return {"command": name} | given


async def catch_up(server: "Server", commands: Commands) -> None:
    """Carry out what other processes have been told."""
    for command in commands.take():
        await attempt(server, command)


async def attempt(server: "Server", command: Command) -> None:
    """Carry a command out that nobody waits for: print what has come of it."""
    name = command["command"]
    try:
        await carry_out(server, command)
    except ErError as error:
        kept = "kept the old router" if name == "reload" else f"{name} is not carried out"
        say(f"er.gateway: {kept}: {error}", sys.stderr)
        return
    if name == "reload":
        say(f"er.gateway: router {server.chooser.digest}")


async def carry_out(server: "Server", command: Command) -> None:
    """Do it, after those before it. Raises ErError when it cannot be done."""
    async with server.administration:
        await _carry_out(server, command)


async def _carry_out(server: "Server", command: Command) -> None:
    name, cluster, url = command["command"], command.get("expert"), command.get("url")
    if name == "reload":
        await _reload(server, command.get("router") or server.router_file)
    elif name == "shadow":
        file = command.get("router")
        found = await routers.load(server, file) if file else None
        before: list[Chooser | None] = [server.shadow]
        server.shadow = found
        await routers.free(before)
    elif name == "add":
        require_address(url, "url")
        number = _number(server, cluster)
        replicas = server.experts.clusters[number]
        if not any(known.url == url and not known.removed for known in replicas):
            added = server.experts.add_replica(number, str(url))
            if added.wants_model:  # requests name it
                added.usable = False
                await probe.discover_model(added, DISCOVER_S)
                added.set_drained(False)
    else:
        for replica in _named(server, cluster, url):
            if name == "remove":
                replica.remove()
            replica.set_drained(name == "drain")
            if name == "restore":
                server.experts.freed(replica)


def _named(server: "Server", cluster: int | None, url: str | None) -> "list[Replica]":
    """The replicas that a command means: by number of expert, by address, or by both.

    Raises ErError where there are none.
    """
    if cluster is not None or url is None:
        _number(server, cluster)
    found = [
        replica
        for replica in server.experts.replicas
        if not replica.removed and cluster in (None, replica.cluster) and url in (None, replica.url)
    ]
    if not found:
        whose = "the gateway" if cluster is None else f"expert {cluster}"
        raise ErError(f"{whose} has no address {url}" if url else f"{whose} has no address")
    return found


def _number(server: "Server", cluster: int | None) -> int:
    """The number of an expert. Raises ErError for one that there is not."""
    last = len(server.experts.clusters) - 1
    if cluster is None or not 0 <= cluster <= last:
        given = "missing" if cluster is None else cluster
        raise ErError(f"expert is {given}: give its number, {f'0 to {last}' if last else 0}")
    return cluster


async def _reload(server: "Server", file: str) -> None:
    """Choose by the router in this file. Raises ErError when it does not fit."""
    found = await routers.load(server, file)
    before: list[Chooser | None] = [server.chooser]
    server.use_chooser(found)
    server.router_file = file
    await routers.free(before)
