"""Administration, on a port of its own: experts in and out, another router, a router in shadow.

Each command is a JSON object; every process of the gateway carries it out.
"""

import json
import os
from typing import TYPE_CHECKING, Any

from er.config.gateway import require_address
from er.errors import ErError
from er.gateway import counts as slots
from er.gateway import keys
from er.gateway.fast import routers
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica
    from er.gateway.fast.server import Server

COMMANDS = ("drain", "restore", "add", "remove", "reload", "shadow")


def require_key(request: Request) -> None:
    """Raise Refusal where there is an administrator's key and the request does not carry it."""
    key = os.environ.get(keys.ADMIN_VARIABLE, "")
    known = keys.Keys({"admin": key} if key else {})
    given = request.head.header(b"authorization"), request.head.header(b"x-api-key")
    if known and not known.name_of(*given):
        raise Refusal(401, "unauthorized", "the administrator's key is needed")


def describe(server: "Server") -> dict[str, Any]:
    """The experts, as they are."""
    return {
        "experts": [
            {
                "expert": replica.cluster,
                "url": replica.url,
                "usable": replica.usable,
                "drained": replica.drained,
                "in_flight": server.counts.total(slots.IN_FLIGHT + replica.slot),
                "failures_in_a_row": replica.failures,
            }
            for replica in server.experts.replicas
            if not replica.removed
        ],
        "router": server.chooser.digest,
        "shadow": server.shadow.digest if server.shadow else "",
    }


def parse(name: str, body: bytes) -> dict[str, Any]:
    """A command. Raises Refusal when it is none."""
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        fields = None
    if name not in COMMANDS or not isinstance(fields, dict):
        raise Refusal(400, "bad_request", f"commands are {', '.join(COMMANDS)}, with a JSON object")
    return fields | {"command": name}


async def carry_out(server: "Server", command: dict[str, Any]) -> None:
    """Do it. Raises ErError when it cannot be done."""
    name = command["command"]
    if name == "reload":
        await reload(server, command.get("router") or server.router_file)
    elif name == "shadow":
        file = command.get("router", "")
        server.shadow = await routers.load(server, file) if file else None
    elif name == "add":
        cluster, url = command.get("expert"), command.get("url")
        require_address(url, "url")
        if not isinstance(cluster, int) or not 0 <= cluster < len(server.experts.clusters):
            raise ErError(f"expert is {cluster}: give its number")
        server.experts.add_replica(cluster, str(url))
    else:
        found = _named(server, command)
        for replica in found:
            if name == "remove":
                replica.remove()
            replica.set_drained(name == "drain")
            if name == "restore":
                server.experts.freed(replica)


def _named(server: "Server", command: dict[str, Any]) -> "list[Replica]":
    """The replicas that a command means: by number of expert, by address, or by both."""
    cluster, url = command.get("expert"), command.get("url")
    found = [
        replica
        for replica in server.experts.replicas
        if not replica.removed
        and (cluster is not None or url is not None)
        and cluster in (None, replica.cluster)
        and url in (None, replica.url)
    ]
    if not found:
        raise ErError("no expert has this number and address")
    return found


async def reload(server: "Server", file: str) -> None:
    """Choose by the router in this file. Raises ErError when it does not fit."""
    server.use_chooser(await routers.load(server, file))
