"""Whether an event is a token: answers counted by the tokenizer, compared with their events."""

import math
from collections.abc import Sequence

from er.config import Workload
from er.corpus.tokenizer import Encoding
from er.results.request import Request

ANSWERS = 200  # counted at most: enough to decide, and cheap
# Another vocabulary makes a few per cent; a server that sends tokens together makes whole factors.
TOKENS_PER_EVENT_AT_MOST = 1.5


def tokens_per_event(requests: Sequence[Request], encoding: Encoding) -> float:
    """Tokens of the first answers' texts for each event that carried them; NaN without any."""
    answers = [request for request in requests if request.ok and request.text][:ANSWERS]
    counted = encoding.encode_ordinary_batch([answer.text for answer in answers])
    events = sum(answer.output_tokens for answer in answers)
    return sum(map(len, counted)) / events if events else math.nan


def doubts(requests: Sequence[Request], encoding: Encoding, workload: Workload) -> list[str]:
    """Reasons, with a fix, not to take events for tokens, or answers for those asked for."""
    return _merged_tokens(requests, encoding) + _wrong_lengths(requests, workload)


def _wrong_lengths(requests: Sequence[Request], workload: Workload) -> list[str]:
    """With forced lengths no answer may have another length: the study depends on them."""
    answers = [request for request in requests if request.ok and request.measured]
    shorter = sum(answer.output_tokens < answer.max_tokens for answer in answers)
    longer = sum(answer.output_tokens > answer.max_tokens for answer in answers)
    if workload.stop_at_eos or not shorter + longer:
        return []
    return [
        f"{shorter + longer} of {len(answers)} answers ({(shorter + longer) / len(answers):.1%}) "
        f"have not the tokens asked for ({shorter} shorter, {longer} longer): have the server heed "
        "end_id -1 (or ignore_eos), or measure answers as they end with workload.stop_at_eos=true"
    ]


def _merged_tokens(requests: Sequence[Request], encoding: Encoding) -> list[str]:
    each = tokens_per_event(requests, encoding)
    if not each > TOKENS_PER_EVENT_AT_MOST:
        return []
    return [
        f"an event holds {each:.1f} tokens by workload.tokenizer: TPOT, ITL and tokens/s are of "
        "events: have the server stream each token, or name its own tokenizer"
    ]
