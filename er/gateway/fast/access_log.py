"""A line of JSON for each request: who, where to, how long, how it ended. No prompts, no keys."""

import json
import time
from typing import TYPE_CHECKING

from er.gateway.choosers import NO_MARGIN
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange


def line(exchange: "Exchange", request: Request) -> str:
    """What is logged of a request that has ended."""
    cluster, margin, _ = exchange.choice
    fields: dict[str, object] = {
        "unix_s": round(time.time(), 3),
        "id": request.identity.decode(errors="replace"),
        "client": exchange.client.peer,
        "user": exchange.user,
        "path": request.head.path.decode(errors="replace"),
        "status": exchange.status,
        "expert": exchange.tried[-1].cluster if exchange.tried else None,
        "chosen": cluster,
        "margin": None if margin == NO_MARGIN else round(margin, 6),
        "attempts": len(exchange.tried),
        "body_bytes": exchange.body_bytes,
        "took_s": round(exchange.took_s, 6),
    }
    return json.dumps({name: value for name, value in fields.items() if value not in (None, "")})
