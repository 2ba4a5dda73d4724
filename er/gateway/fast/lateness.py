"""Which requests take too long, by the gateway's time limits."""

from typing import TYPE_CHECKING

from er.gateway.fast import endings
from er.gateway.fast.endings import ANSWERING, CONNECTING, QUEUED, WAITING

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange


def end_if_late(exchange: "Exchange", now_s: float) -> None:
    """End an exchange that is over one of its limits."""
    limits, state = exchange.server.timeouts, exchange.state
    waited_s = now_s - exchange.seen_s
    if now_s - exchange.started_s > limits.total_s:
        endings.cut_short(exchange, "timeout", f"took longer than {limits.total_s:g} s")
    elif state == QUEUED and waited_s > limits.queue_s:
        endings.leave_queue(exchange)
    elif state == CONNECTING and waited_s > limits.connect_s:
        endings.give_up(exchange, 504, "timeout", "cannot be reached in time")
    elif state == WAITING and waited_s > limits.first_byte_s:
        endings.give_up(exchange, 504, "timeout", "did not answer in time")
    elif state == ANSWERING and waited_s > limits.idle_s and not exchange.client.stalled_since_s:
        endings.cut_short(exchange, "timeout", f"was silent for {limits.idle_s:g} s")
