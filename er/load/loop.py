"""Run a coroutine on uvloop from synchronous code; an interrupt lets it clean up."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from er.process import stopping

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main()` to its end on a loop of its own.

    SIGINT and SIGTERM, unless ignored, cancel it. Once it has cleaned up, the signal is raised
    again for the handler that the caller had installed. Raises KeyboardInterrupt when that handler
    does not raise.
    """
    caught: list[signal.Signals] = []
    loop = uvloop.new_event_loop()
    task = loop.create_task(main())

    def stop(number: signal.Signals) -> None:
        if number is signal.SIGTERM and stopping.may_go_on():
            return
        caught.append(number)
        task.cancel()

    handlers = _handlers()
    for number in handlers:
        loop.add_signal_handler(number, stop, number)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        if not caught:
            raise
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    signal.raise_signal(caught[0])
    raise KeyboardInterrupt


def _handlers() -> dict[signal.Signals, Any]:
    """The caller's handlers of the signals to catch; empty outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: h for number, h in handlers.items() if h not in (signal.SIG_IGN, None)}
