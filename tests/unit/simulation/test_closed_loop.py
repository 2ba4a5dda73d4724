"""Event skipping gives, to the nanosecond, what playing every iteration gives."""

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from er.simulation import windows
from er.simulation.batching import Batch
from er.simulation.closed_loop import simulate
from er.simulation.cost import NS_PER_S, StepCost
from er.simulation.heaps import NEVER
from er.simulation.limits import Limits
from er.simulation.outcome import Outcome
from er.simulation.request_rows import token_times_s
from er.simulation.tables import LEAST_LOADED, Pause, Prompts, Segment, Sent, Times, tables_of
from er.simulation.users import Counted, Loop

MAX_BATCH, MAX_TOKENS, MAX_LEN, BLOCK = 5, 64, 90, 8


def cost_from(random):
    """Step times without any pattern."""
    linear = np.concatenate([[0], np.cumsum(random.integers(1, 60, MAX_TOKENS))])
    prefill = np.concatenate([[0], random.integers(0, 50, MAX_LEN)])
    decode = random.integers(1, 90, (MAX_BATCH + 1, MAX_LEN + 1)) + linear[: MAX_BATCH + 1, None]
    return StepCost(linear, decode, prefill, int(random.integers(0, 9)))


def oracle(cost, limits, prompts, warmup_count, loop, count):
    """Iteration by iteration, with `Batch` and no skipping."""
    batches = [Batch(cost, limits) for _ in range(count)]
    now_running = [None] * count  # (end, iteration) of each engine
    starts = deque(enumerate(loop.start_ns.tolist()))
    sends, arrivals = [], []
    warmup_left = [loop.warmup_per_user] * len(loop.start_ns)
    warmup = deque(range(warmup_count))
    first_unmeasured = len(prompts) - loop.unmeasured
    measured = deque(range(warmup_count, first_unmeasured))
    unmeasured = deque(range(first_unmeasured, len(prompts)))
    requests, gaps, last_token, free_ns = [], [], {}, 0
    token_times, opens, closes, exhausted = [], NEVER, NEVER, False
    way = loop.gateway_ns + loop.request_delay_ns
    failures = deque(sorted((at, e) for e, at in enumerate(loop.fail_ns.tolist()) if at != NEVER))
    failed = set()

    def is_measured(request):
        return warmup_count <= request["prompt"] < first_unmeasured

    def goes_on(now):
        """Whether a measured request is to come, or has not ended for its user."""
        ends = [request.get("end", NEVER) for request in requests if is_measured(request)]
        return bool(measured and now < loop.until_ns) or any(now < end for end in ends)

    def close():
        """The end of the window, once no measured request goes on."""
        ends = [request.get("end", NEVER) for request in requests if is_measured(request)]
        return NEVER if goes_on(max(ends, default=0)) else max(ends, default=0) + way

    def leave(r, now):
        """A request is over; its user goes on."""
        requests[r]["end"] = now + loop.reply_delay_ns
        if not loop.once:
            think = loop.think_ns[r] if len(loop.think_ns) else 0
            order = requests[r]["user"] if len(loop.think_ns) else len(requests)
            sends.append((requests[r]["end"] + int(think), order, requests[r]["user"]))

    while True:
        times = [end for end, _ in filter(None, now_running)]
        times += [at for at, _, _ in sends] + [at for at, _ in arrivals]
        times += [starts[0][1]] if starts else []
        if not times:
            tokens = sum(opens < token <= closes for token in token_times)
            return requests, sorted(gaps), Counted(tokens, exhausted)
        times += [failures[0][0]] if failures else []
        now = min(times)
        for e in range(count):
            if now_running[e] is None or now_running[e][0] != now:
                continue
            iteration = now_running[e][1]
            now_running[e] = None
            done = batches[e].finish(iteration)
            for sequence in iteration.sequences:
                r = sequence.key
                token_times.append(now)
                if r in last_token and is_measured(requests[r]):
                    gaps.append(now - last_token[r])
                if r not in last_token:
                    requests[r]["first"] = now + loop.reply_delay_ns
                last_token[r] = now
                requests[r]["tokens"].append(now + loop.reply_delay_ns)
            for sequence in done:
                r = sequence.key
                leave(r, now)
        while failures and failures[0][0] == now:
            e = failures.popleft()[1]
            failed.add(e)
            now_running[e] = None
            for r in [*sorted(batches[e].running), *(w.key for w in batches[e].waiting)]:
                requests[r]["failed"] = 1
                leave(r, now)
            batches[e] = Batch(cost, limits)
        closes = close()
        while True:
            due = [send for send in sends if send[0] == now]
            if due:
                first = min(due, key=lambda send: send[:2])
                sends.remove(first)
                user = first[2]
            elif starts and starts[0][1] == now:
                user = starts.popleft()[0]
            else:
                break
            p, all_begun = -1, not loop.unmeasured or now >= loop.start_ns[-1]
            if now < loop.until_ns:
                if warmup_left[user] and warmup:
                    warmup_left[user] -= 1
                    p = warmup.popleft()
                elif all_begun and measured:
                    p = measured.popleft()
                    opens = opens if loop.once else min(opens, now + way)
                elif all_begun:
                    exhausted |= loop.until_ns != NEVER and not loop.once
            if p < 0 and loop.unmeasured and goes_on(now):
                p = unmeasured.popleft() if unmeasured else -1
                exhausted |= p < 0
            if p < 0:
                continue
            free_ns = max(free_ns, now) + loop.gateway_ns
            arrivals.append((free_ns + loop.request_delay_ns, len(requests)))
            requests.append(
                {"prompt": p, "user": user, "send": now, "tokens": [], "failed": 0, "first": 0}
            )
        while arrivals and arrivals[0][0] == now:
            r = arrivals.pop(0)[1]
            p = requests[r]["prompt"]
            input_tokens, output_tokens, _, engine, group, shared = prompts[p].tolist()
            if engine == LEAST_LOADED:
                alive = [e for e in range(count) if e not in failed] or [0]
                engine = min(alive, key=lambda e: len(batches[e].running) + len(batches[e].waiting))
            requests[r]["engine"] = engine
            if engine in failed:
                requests[r]["failed"] = 1
                leave(r, now)
                closes = close()
            else:
                batches[engine].add(r, input_tokens, output_tokens, group, shared * BLOCK)
        for e in range(count):
            if now_running[e] is None and (iteration := batches[e].start()) is not None:
                now_running[e] = (now + iteration.duration_ns, iteration)


def pooled_gaps(cost, gaps, segments, pauses, measured):
    """Every gap between two tokens, from what `simulate` returns."""
    counts = np.cumsum(gaps, axis=1)[:, : MAX_LEN + 1]
    pooled = np.repeat(cost.decode_ns.ravel(), counts.ravel()).tolist()
    for segment in segments[segments[:, Segment.context] < 0]:
        pooled += [int(segment[Segment.duration_ns])] * int(segment[Segment.counted])
    for pause in pauses[measured[pauses[:, Pause.request]]]:
        if pause[Pause.resumed_ns]:
            pooled.append(int(pause[Pause.resumed_ns] - pause[Pause.paused_ns]))
    return sorted(pooled)


flag = st.booleans()


@st.composite
def cases(draw):
    """Hypothesis chooses the kind of case, a generator that it seeds all numbers."""
    once, thinks, choose, fails = draw(flag), draw(flag), draw(flag), draw(flag)
    chunked, evicts, reuses, short = draw(flag), draw(flag), draw(flag), draw(flag)
    random = np.random.default_rng(draw(st.integers(0, 10**9)))
    users, count = int(random.integers(1, 10)), int(random.integers(1, 4))
    asked = int(random.integers(1, users + 1 if once else 25))
    warmup_per_user = 0 if once else int(random.integers(0, 3))
    warmup = min(warmup_per_user * users, int(random.integers(0, asked)))
    unmeasured = int(random.integers(0, asked - warmup + 1)) if draw(flag) and not once else 0

    max_num_tokens = int(random.integers(2 * BLOCK, MAX_TOKENS + 1))
    longest = 60 if chunked else max_num_tokens - 4
    prompts = np.zeros((asked, len(Prompts)), np.int32)
    prompts[:, Prompts.input] = random.integers(1, min(20 if short else 60, longest) + 1, asked)
    prompts[:, Prompts.output] = random.integers(1, 31, asked)
    if evicts and not chunked:
        again = max_num_tokens + 1 - prompts[:, Prompts.input]
        prompts[:, Prompts.output] = np.minimum(prompts[:, Prompts.output], again)
    total = prompts[:, Prompts.input] + prompts[:, Prompts.output]
    prompts[:, Prompts.blocks] = -(-total // BLOCK)
    prompts[:, Prompts.engine] = LEAST_LOADED if choose else random.integers(0, count, asked)
    prompts[:, Prompts.chain] = random.integers(-1, random.integers(1, 4), asked)
    prompts[:, Prompts.shared] = random.integers(0, prompts[:, Prompts.input] + 1) // BLOCK
    limits = Limits(
        int(random.integers(1, MAX_BATCH + 1)),
        max_num_tokens,
        MAX_LEN,
        BLOCK,
        int(prompts[:, Prompts.blocks].max() + random.integers(0, 8)),
        chunked,
        evicts,
        reuses,
    )
    fail_ns = np.where(random.random(count) < 0.5, random.integers(0, 8000, count), NEVER)
    loop = Loop(
        np.sort(random.integers(0, 400, users)),
        warmup_per_user,
        once,
        random.integers(0, 400, asked if thinks and not once else 0),
        *random.integers(0, 30, 3).tolist(),
        fail_ns if fails else np.zeros(0, np.int64),
        int(random.integers(0, 6000)) if random.random() < 0.2 else NEVER,
        unmeasured=unmeasured,
    )
    return cost_from(random), limits, prompts, warmup, loop, count


def for_engines(prompts, count):
    """The same prompts with a chain for each group on each engine."""
    own = prompts.copy()
    group, engine = prompts[:, Prompts.chain], prompts[:, Prompts.engine]
    chain = group * count + np.where(engine == LEAST_LOADED, 0, engine)
    own[:, Prompts.chain] = np.where(group < 0, -1, chain)
    return own


@settings(max_examples=10_000, deadline=None)
@given(cases())
def test_event_skipping_is_exact(case):
    cost, limits, prompts, warmup, loop, count = case
    expected, expected_gaps, expected_counted = oracle(*case)
    gaps = np.zeros((MAX_BATCH + 1, MAX_LEN + 2), np.int64)
    tables = tables_of(cost)
    sent, seen, segments, pauses, counted = simulate(
        tables, limits, for_engines(prompts, count), warmup, loop, count, gaps, True
    )
    assert len(sent) == len(expected)
    for column in (Sent.prompt, Sent.user, Sent.engine, Sent.failed):
        assert sent[:, column].tolist() == [request[column.name] for request in expected]
    for time in Times:
        name = time.name.removesuffix("_ns")
        assert seen[:, time].tolist() == [request[name] for request in expected], name
    first_unmeasured = len(prompts) - loop.unmeasured
    measured = (sent[:, Sent.prompt] >= warmup) & (sent[:, Sent.prompt] < first_unmeasured)
    assert counted == expected_counted
    assert pooled_gaps(cost, gaps, segments, pauses, measured) == expected_gaps
    outcome = Outcome(tables, prompts, warmup, loop, sent, seen, segments, pauses, gaps, counted)
    tokens, times_s = token_times_s(outcome)
    assert tokens.tolist() == [len(request["tokens"]) for request in expected]
    assert times_s.tolist() == [
        token / NS_PER_S for request in expected for token in request["tokens"]
    ]


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 400), st.integers(1, 3), st.booleans())
def test_several_threads_play_the_same(case, request_delay_ns, threads, alike):
    cost, limits, prompts, warmup, loop, count = case
    prompts[:, Prompts.engine] %= count  # no engine is chosen at arrival
    loop = loop._replace(request_delay_ns=request_delay_ns, fail_ns=np.zeros(0, np.int64))
    if alike:  # most of the time all users only wait for answers, and each thread lets some send
        prompts = np.tile(prompts, (10, 1))
        loop = loop._replace(gateway_ns=0, once=False, think_ns=np.zeros(0, np.int64))
    limits = limits._replace(
        chunked_context=False, max_utilization=False, max_num_tokens=MAX_TOKENS
    )
    asked = (tables_of(cost), limits, for_engines(prompts, count), warmup, loop, count)
    one, several = (np.zeros((MAX_BATCH + 1, MAX_LEN + 2), np.int64) for _ in range(2))
    sent, seen, segments, _, counted = simulate(*asked, one, False)
    theirs = windows.simulate(*asked, several, threads)
    assert theirs[4] == counted
    assert np.array_equal(theirs[0], sent[:, : Sent.iteration])
    assert np.array_equal(theirs[1], seen)
    assert np.array_equal(several, one)
    assert sorted(theirs[2].tolist()) == sorted(segments.tolist())


def test_only_what_windows_can_play_is_given_to_them():
    prompts = np.array([[1, 1, 1, 0]], np.int32)
    nothing = np.zeros(0, np.int64)
    loop = Loop(np.zeros(1, np.int64), 0, False, nothing, 0, 1, 0, nothing)
    limits = Limits(1, 1, 2, 1, 2)
    assert windows.worthwhile(loop, prompts, 1000, limits)
    assert not windows.worthwhile(loop, prompts, 999, limits)
    assert not windows.worthwhile(loop._replace(request_delay_ns=0), prompts, 1000, limits)
    assert not windows.worthwhile(
        loop._replace(fail_ns=np.zeros(1, np.int64)), prompts, 1000, limits
    )
    assert not windows.worthwhile(loop, np.array([[1, 1, 1, LEAST_LOADED]], np.int32), 1000, limits)
    for policy in ("chunked_context", "max_utilization"):
        other = limits._replace(**{policy: True})
        assert not windows.worthwhile(loop, prompts, 1000, other)
