"""Whether an event is a token: answers counted by the tokenizer, held against their events."""

import math
from collections.abc import Sequence

from er.corpus.tokenizer import Encoding
from er.results.request import Request

ANSWERS = 200  # counted at most: enough to tell, and cheap
# Another vocabulary makes a few per cent; a server that sends tokens together makes whole factors.
TOKENS_PER_EVENT_AT_MOST = 1.5


def tokens_per_event(requests: Sequence[Request], encoding: Encoding) -> float:
    """Tokens of the first answers' texts for each event that carried them; NaN without any."""
    answers = [request for request in requests if request.ok and request.text][:ANSWERS]
    counted = encoding.encode_ordinary_batch([answer.text for answer in answers])
    events = sum(answer.output_tokens for answer in answers)
    return sum(map(len, counted)) / events if events else math.nan


def doubts(requests: Sequence[Request], encoding: Encoding) -> list[str]:
    """Reasons, with the mend, not to take events for tokens."""
    each = tokens_per_event(requests, encoding)
    if not each > TOKENS_PER_EVENT_AT_MOST:
        return []
    return [
        f"an event holds {each:.1f} tokens by workload.tokenizer: TPOT, ITL and tokens/s are of "
        "events: have the server stream each token, or name its own tokenizer"
    ]
