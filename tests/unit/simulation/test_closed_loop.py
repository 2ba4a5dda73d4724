"""Event skipping gives, to the nanosecond, what playing every iteration gives."""

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from er.simulation import windows
from er.simulation.batching import Batch, Limits
from er.simulation.closed_loop import simulate
from er.simulation.cost import NS_PER_S, StepCost
from er.simulation.heaps import NEVER
from er.simulation.outcome import Outcome
from er.simulation.tables import LEAST_LOADED, Prompts, Segment, Sent, Times, tables_of
from er.simulation.users import Loop

MAX_BATCH, MAX_TOKENS, MAX_LEN = 5, 64, 90
times = st.integers(0, 400)


def cost_from(seed):
    """Step times without any pattern."""
    random = np.random.default_rng(seed)
    linear = np.concatenate([[0], np.cumsum(random.integers(1, 60, MAX_TOKENS))])
    decode = random.integers(1, 90, (MAX_BATCH + 1, MAX_LEN + 1)) + linear[: MAX_BATCH + 1, None]
    return StepCost(linear, decode, random.integers(0, 50, MAX_LEN + 1), int(random.integers(0, 9)))


def oracle(cost, limits, prompts, warmup_count, loop, count):
    """Iteration by iteration, with `Batch` and no skipping."""
    batches = [Batch(cost, limits) for _ in range(count)]
    now_running = [None] * count  # (end, iteration) of each engine
    starts = deque(enumerate(loop.start_ns.tolist()))
    sends, arrivals = [], []
    warmup_left = [loop.warmup_per_user] * len(loop.start_ns)
    warmup = deque(range(warmup_count))
    measured = deque(range(warmup_count, len(prompts)))
    requests, gaps, last_token, free_ns = [], [], {}, 0
    failures = deque(sorted((at, e) for e, at in enumerate(loop.fail_ns.tolist()) if at != NEVER))
    failed = set()

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
            return requests, sorted(gaps)
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
                if r in last_token and requests[r]["prompt"] >= warmup_count:
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
            if now >= loop.until_ns:
                continue
            if warmup_left[user] and warmup:
                warmup_left[user] -= 1
                p = warmup.popleft()
            elif measured:
                p = measured.popleft()
            else:
                continue
            free_ns = max(free_ns, now) + loop.gateway_ns
            arrivals.append((free_ns + loop.request_delay_ns, len(requests)))
            requests.append(
                {"prompt": p, "user": user, "send": now, "tokens": [], "failed": 0, "first": 0}
            )
        while arrivals and arrivals[0][0] == now:
            r = arrivals.pop(0)[1]
            p = requests[r]["prompt"]
            input_tokens, output_tokens, _, engine = prompts[p].tolist()
            if engine == LEAST_LOADED:
                alive = [e for e in range(count) if e not in failed] or [0]
                engine = min(alive, key=lambda e: len(batches[e].running) + len(batches[e].waiting))
            requests[r]["engine"] = engine
            if engine in failed:
                requests[r]["failed"] = 1
                leave(r, now)
            else:
                batches[engine].add(r, input_tokens, output_tokens)
        for e in range(count):
            if now_running[e] is None and (iteration := batches[e].start()) is not None:
                now_running[e] = (now + iteration.duration_ns, iteration)


def pooled_gaps(cost, gaps, segments):
    """Every gap between two tokens, from what `simulate` returns."""
    counts = np.cumsum(gaps, axis=1)[:, : MAX_LEN + 1]
    pooled = np.repeat(cost.decode_ns.ravel(), counts.ravel()).tolist()
    for segment in segments[segments[:, Segment.context] < 0]:
        pooled += [int(segment[Segment.duration_ns])] * int(segment[Segment.counted])
    return sorted(pooled)


def failures(count):
    """When each engine fails, if it does."""
    at = st.one_of(st.just(NEVER), st.integers(0, 8000))
    return st.lists(at, min_size=count, max_size=count)


@st.composite
def cases(draw):
    users = draw(st.integers(1, 7))
    count = draw(st.integers(1, 3))
    lengths = st.tuples(st.integers(1, 60), st.integers(1, 30), st.integers(0, count - 1))
    choose = draw(st.booleans())
    once = draw(st.booleans())
    asked = draw(st.lists(lengths, min_size=1, max_size=users if once else 25))
    warmup_per_user = 0 if once else draw(st.integers(0, 2))
    warmup = min(warmup_per_user * users, draw(st.integers(0, len(asked) - 1)))
    think = draw(st.lists(times, min_size=len(asked), max_size=len(asked)))
    limits = Limits(
        draw(st.integers(1, MAX_BATCH)), MAX_TOKENS, MAX_LEN, 8, draw(st.integers(12, 30))
    )
    columns = np.array(asked, np.int64).T
    prompts = np.zeros((len(asked), len(Prompts)), np.int32)
    prompts[:, [Prompts.input, Prompts.output, Prompts.engine]] = columns.T
    if choose:
        prompts[:, Prompts.engine] = LEAST_LOADED
    prompts[:, Prompts.blocks] = -(-(columns[0] + columns[1]) // 8)
    start = sorted(draw(st.lists(times, min_size=users, max_size=users)))
    loop = Loop(
        np.array(start, np.int64),
        warmup_per_user,
        once,
        np.array(think if draw(st.booleans()) and not once else [], np.int64),
        draw(st.integers(0, 30)),
        draw(st.integers(0, 30)),
        draw(st.integers(0, 30)),
        np.array(draw(st.one_of(st.just([]), failures(count))), np.int64),
        draw(st.one_of(st.just(NEVER), st.integers(0, 3000))),
    )
    return cost_from(draw(st.integers(0, 10**6))), limits, prompts, warmup, loop, count


@settings(max_examples=10_000, deadline=None)
@given(cases())
def test_event_skipping_is_exact(case):
    cost, limits, prompts, warmup, loop, count = case
    expected, expected_gaps = oracle(*case)
    gaps = np.zeros((MAX_BATCH + 1, MAX_LEN + 2), np.int64)
    tables = tables_of(cost)
    sent, seen, sends, segments, kept = simulate(
        tables, limits, prompts, warmup, loop, count, gaps, True
    )
    assert sends == len(expected)
    for column in (Sent.prompt, Sent.user, Sent.engine, Sent.failed):
        assert sent[:sends, column].tolist() == [request[column.name] for request in expected]
    for time in Times:
        name = time.name.removesuffix("_ns")
        assert seen[:sends, time].tolist() == [request[name] for request in expected], name
    assert pooled_gaps(cost, gaps, segments[:kept]) == expected_gaps
    outcome = Outcome(
        tables, prompts, warmup, loop, sent[:sends], seen[:sends], segments[:kept], gaps
    )
    tokens, times_s = outcome.token_times_s()
    assert tokens.tolist() == [len(request["tokens"]) for request in expected]
    assert times_s.tolist() == [
        token / NS_PER_S for request in expected for token in request["tokens"]
    ]


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 400), st.integers(1, 3))
def test_several_threads_play_the_same(case, request_delay_ns, threads):
    cost, limits, prompts, warmup, loop, count = case
    prompts[:, Prompts.engine] %= count  # no engine is chosen at arrival
    loop = loop._replace(request_delay_ns=request_delay_ns, fail_ns=np.zeros(0, np.int64))
    asked = (tables_of(cost), limits, prompts, warmup, loop, count)
    one, several = (np.zeros((MAX_BATCH + 1, MAX_LEN + 2), np.int64) for _ in range(2))
    sent, seen, sends, segments, kept = simulate(*asked, one, False)
    theirs = windows.simulate(*asked, several, threads)
    assert theirs[2] == sends
    assert np.array_equal(theirs[0][:sends], sent[:sends])
    assert np.array_equal(theirs[1][:sends], seen[:sends])
    assert np.array_equal(several, one)
    assert sorted(theirs[3][: theirs[4]].tolist()) == sorted(segments[:kept].tolist())


def test_only_what_windows_can_play_is_given_to_them():
    prompts = np.array([[1, 1, 1, 0]], np.int32)
    nothing = np.zeros(0, np.int64)
    loop = Loop(np.zeros(1, np.int64), 0, False, nothing, 0, 1, 0, nothing)
    assert windows.worthwhile(loop, prompts, 1000)
    assert not windows.worthwhile(loop, prompts, 999)
    assert not windows.worthwhile(loop._replace(request_delay_ns=0), prompts, 1000)
    assert not windows.worthwhile(loop._replace(fail_ns=np.zeros(1, np.int64)), prompts, 1000)
    assert not windows.worthwhile(loop, np.array([[1, 1, 1, LEAST_LOADED]], np.int32), 1000)
