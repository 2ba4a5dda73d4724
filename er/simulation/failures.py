"""An engine that fails in virtual time: what it was doing is lost, its requests end unanswered."""

from er.simulation.admission import note_token
from er.simulation.engines import count_gaps, count_tokens, steps_before, write_segment
from er.simulation.heaps import NEVER, set_key
from er.simulation.jit import inner
from er.simulation.tables import (
    NO_ITERATION,
    REQUEST_MASK,
    Engine,
    Engines,
    Ints,
    Sent,
    Times,
)


@inner
def stop(
    engines: Engines, e: int, now: int, until_ns: Ints, at: Ints, segments: Ints, kept: int
) -> tuple[int, bool]:
    """Before engine `e` fails at `now`: keep of its segment only the decode steps that have ended.
    Returns how many segments are kept, and whether a step with prompts is lost."""
    state = engines.state
    if engines.ends_ns[e] == NEVER:
        return kept, False
    if state[e, Engine.mixed]:
        return kept, True
    decoding = state[e, Engine.running]
    context = state[e, Engine.mean_context]
    steps = steps_before(state, e, now, until_ns)
    count_gaps(engines, e, steps)
    state[e, Engine.steps] = steps
    if steps:
        lasted = until_ns[decoding, context + steps] - until_ns[decoding, context]
        end = state[e, Engine.clock_ns] + lasted
        count_tokens(engines, e, end, until_ns, at)
        kept = write_segment(engines, e, end, segments, kept)
    return kept, False


@inner
def fail(engines: Engines, e: int, now: int, prefilling: bool, ended: Ints, count: int) -> int:
    """Take engine `e` out of service at `now`, `prefilling` when that loses a step with prompts.
    Writes the requests it leaves into `ended`, those running in order of sending, after the `count`
    that are there; returns how many are then."""
    state, sent = engines.state, engines.sent
    first = count
    for i in range(state[e, Engine.running]):
        r = engines.finish[e, i] & REQUEST_MASK
        if prefilling and sent[r, Sent.iteration] == state[e, Engine.iteration]:
            note_token(engines, r, 0)
        ended[count] = r
        count += 1
    if state[e, Engine.partial] >= 0:
        r = state[e, Engine.partial]
        sent[r, Sent.iteration] = NO_ITERATION
        ended[count] = r
        count += 1
    sort(ended[first:count])
    r = state[e, Engine.head]
    while r >= 0:
        ended[count] = r
        count += 1
        r = sent[r, Sent.following]
        sent[ended[count - 1], Sent.iteration] = NO_ITERATION
    for i in range(first, count):
        sent[ended[i], Sent.failed] = 1
        engines.times[ended[i], Times.end_ns] = now + engines.reply_delay_ns
    state[e, Engine.head] = -1
    state[e, Engine.running] = 0
    state[e, Engine.failed] = 1
    engines.ends_ns[e] = NEVER
    if len(engines.loads) > 2:
        set_key(engines.loads, e, NEVER)
    return count


@inner
def refuse(engines: Engines, r: int, now: int) -> None:
    """End a request that reaches a failed engine."""
    engines.sent[r, Sent.iteration] = NO_ITERATION
    engines.sent[r, Sent.failed] = 1
    engines.times[r, Times.end_ns] = now + engines.reply_delay_ns


@inner
def sort(numbers: Ints) -> None:
    """Sort a few numbers in place, by insertion."""
    for i in range(1, len(numbers)):
        number, at = numbers[i], i
        while at > 0 and numbers[at - 1] > number:
            numbers[at] = numbers[at - 1]
            at -= 1
        numbers[at] = number
