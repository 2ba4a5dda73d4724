"""How a request ends that does not go well: tried elsewhere, refused, or cut with an error."""

from typing import TYPE_CHECKING

from er.gateway import counts as slots
from er.gateway.fast.refusal import Refusal

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange

CUT_STATUSES = {"timeout": 504, "draining": 503}  # of answers that were to come; else 502
CHOOSING, QUEUED, CONNECTING, WAITING, ANSWERING, ENDED = range(6)  # states of an exchange


def no_answer(exchange: "Exchange", *, reused: bool) -> None:
    """The connection has ended before the first byte of the answer."""
    exchange.connection = None
    assert exchange.replica
    if reused:  # the expert has closed an idle connection: it never saw the request
        exchange.server.counts.event("retries_connection")
        exchange.connect(exchange.replica)
    else:
        fail_over(exchange, 502, "no_answer", "did not answer")


def cut(exchange: "Exchange") -> None:
    """The connection has ended within the answer."""
    exchange.connection = None
    break_off(exchange, "broken_stream", "broke off its stream")


def bad_answer(exchange: "Exchange", why: str) -> None:
    """The expert does not speak HTTP as it should."""
    exchange.connection = None
    break_off(exchange, "bad_answer", why)


def break_off(exchange: "Exchange", cause: str, what: str) -> None:
    """End an answer that cannot be whole."""
    cluster = leave(exchange, failed=cause != "draining")
    message, answer = f"expert {cluster} {what}", exchange.answer
    if answer is None or not (answer.begun or answer.streams):
        refuse(exchange, Refusal(CUT_STATUSES.get(cause, 502), cause, message))
        return
    count_failure(exchange, cause)
    if answer.cut(message):
        exchange.finish(keep_alive=exchange.request.keep_alive)
    else:
        exchange.finish(keep_alive=False)
        exchange.client.abort()


def count_failure(exchange: "Exchange", cause: str) -> None:
    """It has failed: counted and logged by its first cause."""
    if not exchange.cause:
        exchange.cause = cause
        exchange.server.counts.fail(cause)


def may_retry(exchange: "Exchange") -> bool:
    """Whether one more attempt is wanted."""
    return len(exchange.tried) <= exchange.server.settings.retries


def fail_over(exchange: "Exchange", status: int, cause: str, what: str) -> None:
    """Nothing has come of this attempt: make another elsewhere, or refuse."""
    cluster = leave(exchange, failed=True)
    try:
        if not may_retry(exchange):
            raise Refusal(status, cause, f"expert {cluster} {what}")
        exchange.server.experts.place_elsewhere(
            exchange, Refusal(status, cause, f"expert {cluster} {what}")
        )
    except Refusal as refusal:
        refuse(exchange, refusal)


def refuse(exchange: "Exchange", refusal: Refusal) -> None:
    """Answer with an error of the gateway's own."""
    exchange.status, exchange.cause = refusal.status, refusal.cause
    refusal.openai = exchange.route.openai
    refusal.extra_headers += exchange.describe()
    refusal.close |= not exchange.request.keep_alive
    client = exchange.client
    record_end(exchange)
    client.exchange = None
    client.refuse(refusal)


def client_left(exchange: "Exchange") -> None:
    """Nobody waits for the answer any more: the expert is to stop."""
    count_failure(exchange, "client_left")
    release(exchange)
    leave(exchange, failed=False)
    record_end(exchange)


def cut_short(exchange: "Exchange", cause: str, what: str) -> None:
    """The gateway ends an answer before the expert does."""
    release(exchange)
    break_off(exchange, cause, what)


def give_up(exchange: "Exchange", status: int, cause: str, what: str) -> None:
    """The gateway waits no longer for an answer that has not begun: elsewhere, or refuse."""
    release(exchange)
    fail_over(exchange, status, cause, what)


def leave_queue(exchange: "Exchange") -> None:
    """No place has become free in time."""
    release(exchange)
    refuse(exchange, Refusal(429, "queue_timeout", "no expert became free", retry_s=1))


def release(exchange: "Exchange") -> None:
    """Wait for nothing any more: no place, no connection, no answer."""
    if exchange.state == QUEUED:
        exchange.server.experts.unqueue(exchange)
    if exchange.opening:
        exchange.opening.cancel()
        exchange.opening = None
    if exchange.connection:
        connection, exchange.connection = exchange.connection, None
        connection.release()


def leave(exchange: "Exchange", *, failed: bool) -> int:
    """Give the place at the expert back; the expert's number."""
    replica, exchange.replica = exchange.replica, None
    if replica is None:
        return exchange.choice[0]
    if failed:
        exchange.server.experts.failed(replica)
    exchange.server.counts.row[slots.IN_FLIGHT + replica.slot] -= 1
    exchange.server.experts.freed(replica)
    return replica.cluster


def record_end(exchange: "Exchange") -> None:
    """It is over, however it went."""
    exchange.state = ENDED
    exchange.server.ended(exchange, exchange.request)
