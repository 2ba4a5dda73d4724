"""Check that each event is one token, against the server's own count or a tokenizer's."""

import math
from collections.abc import Sequence

import numpy as np

from er.config import Workload
from er.corpus.tokenizer import Encoding
from er.results.request import Request
from er.results.words import count_of

ANSWERS = 200  # tokenised at most: enough to decide, and cheap
# Another vocabulary differs by a few per cent, a server that joins tokens by whole factors.
TOKENS_PER_EVENT_AT_MOST = 1.5
USAGE_OFF_AT_MOST = 0.01  # share of the server's count
END_LATE_AT_MOST_S = 0.005  # more than a network and an event loop take
TOGETHER_AT_MOST = 0.5  # share of the gaps: beyond it even the median gap is not the model's
TOGETHER_NOTED_FROM = 0.01  # share of the gaps


def evidence(requests: Sequence[Request], encoding: Encoding) -> dict[str, float]:
    """Evidence of a point: tokens for each event, by a tokenizer and by the server; or NaN."""
    return {
        "tokens_per_event": tokens_per_event(requests, encoding),
        "usage_per_event": usage_per_event(requests),
    }


def tokens_per_event(requests: Sequence[Request], encoding: Encoding) -> float:
    """Tokens, by `encoding`, of the first answers' texts over the events with them; NaN if none."""
    answers = [request for request in requests if request.ok and request.text][:ANSWERS]
    counted = encoding.encode_ordinary_batch([answer.text for answer in answers])
    events = sum(answer.output_tokens - answer.reasoning_tokens for answer in answers)
    return sum(map(len, counted)) / events if events else math.nan


def usage_per_event(requests: Sequence[Request]) -> float:
    """Tokens that the server reports over the events that carried them; NaN when it reports none.

    A server may also count the token that ends an answer early, which has no text.
    """
    answers = [request for request in requests if request.ok and request.usage_tokens >= 0]
    events = sum(answer.output_tokens for answer in answers)
    return sum(map(_usage, answers)) / events if events else math.nan


def _usage(answer: Request) -> int:
    """Tokens that the server reports, without one that only ended the answer."""
    ended = answer.output_tokens < answer.max_tokens
    return answer.usage_tokens - (ended and answer.usage_tokens == answer.output_tokens + 1)


def doubts(
    requests: Sequence[Request], encoding: Encoding, workload: Workload, lagged: bool = False
) -> list[str]:
    """Reasons, each with a fix, not to count events as tokens, or to reject the answers' lengths.

    A load generator that `lagged` may have read several tokens at once.
    """
    return [
        *_miscounted(requests, encoding),
        *([] if lagged else _all_together(requests)),
        *_wrong_lengths(requests, workload),
    ]


def notes(requests: Sequence[Request], together_share: float, lagged: bool = False) -> list[str]:
    """Remarks on a point that may nevertheless be right; `lagged` as for `doubts`."""
    found = []
    if not lagged and TOGETHER_NOTED_FROM < together_share <= TOGETHER_AT_MOST:
        found.append(
            f"{together_share:.1%} of the tokens came in one piece with the one before: the server "
            "or a proxy writes them together, and ITL is of its writes, not of the model's steps"
        )
    ends_s = [r.end_s - r.token_times_s[-1] for r in requests if r.ok and r.token_times_s]
    late_s = float(np.median(ends_s)) if ends_s else 0.0
    if late_s > END_LATE_AT_MOST_S:
        found.append(
            f"answers ended {late_s * 1e3:.3g} ms (p50) after their last token, which E2E and TPOT "
            "count: ITL does not"
        )
    again = sum(request.retries for request in requests if request.measured)
    if again:
        found.append(
            f"{count_of(again, 'time')} the server was too busy (429) and got a request again "
            "after its Retry-After: that wait is part of TTFT and E2E"
        )
    thinking = [r for r in requests if r.ok and r.measured and r.reasoning_tokens]
    if thinking:
        waits_s = [r.first_answer_s - r.send_s for r in thinking if r.first_answer_s]
        first = (
            f", the first of the answer after {np.median(waits_s):.3g} s (p50)" if waits_s else ""
        )
        silent = any(r.usage_tokens < 0 for r in thinking)
        unchecked = "; an event of it is taken for a token: the server gives no usage" * silent
        mean = np.mean([r.reasoning_tokens for r in thinking])
        found.append(
            f"{count_of(len(thinking), 'answer')} with {mean:.3g} tokens of reasoning or tool "
            f"calls first on average, which TTFT and tokens/s count{first}{unchecked}"
        )
    return found


def _wrong_lengths(requests: Sequence[Request], workload: Workload) -> list[str]:
    """Answers whose length is not the requested one, unless the model may end them itself."""
    answers = [request for request in requests if request.ok and request.measured]
    shorter = sum(answer.output_tokens < answer.max_tokens for answer in answers)
    longer = sum(answer.output_tokens > answer.max_tokens for answer in answers)
    if workload.stop_at_eos or not shorter + longer:
        return []
    share = f"{(shorter + longer) / len(answers):.1%}"
    return [
        f"{shorter + longer} of {count_of(len(answers), 'answer')} ({share}) without the requested "
        f"tokens ({shorter} shorter, {longer} longer): have the server obey end_id -1 (or "
        "ignore_eos), or measure answers as they end with workload.stop_at_eos=true"
    ]


def _miscounted(requests: Sequence[Request], encoding: Encoding) -> list[str]:
    """Events that are not tokens: by the server's count, or a tokenizer for answers without one.

    Answers without a count are checked even if others have one: they may be of another server.
    """
    usage = usage_per_event(requests)
    if abs(usage - 1) > USAGE_OFF_AT_MOST:
        return [
            f"the server counts {usage:.3g} tokens for each event with a token: TPOT, ITL and "
            "tokens/s are of events: have it stream each token in an event of its own"
        ]
    each = tokens_per_event([r for r in requests if r.usage_tokens < 0], encoding)
    if not each > TOKENS_PER_EVENT_AT_MOST:
        return []
    return [
        f"an event holds {each:.1f} tokens by workload.tokenizer: TPOT, ITL and tokens/s are of "
        "events: have the server stream each token, or name its own tokenizer"
    ]


def _all_together(requests: Sequence[Request]) -> list[str]:
    """Tokens that the server or a proxy holds back and writes together."""
    share = together_share(requests)
    if not share > TOGETHER_AT_MOST:
        return []
    return [
        f"{share:.1%} of the tokens came in one piece with the one before: the server, or a proxy "
        "before it, holds tokens back and writes them together: have it flush each token (nginx: "
        "proxy_buffering off)"
    ]


def together_share(requests: Sequence[Request]) -> float:
    """The share of gaps between two tokens that are 0; NaN without gaps.

    A client that reads in time does not join tokens that arrive apart, so the server or a proxy
    wrote them together.
    """
    gaps = [np.diff(request.token_times_s) for request in requests if request.output_tokens > 1]
    return float((np.concatenate(gaps) == 0).mean()) if gaps else math.nan
