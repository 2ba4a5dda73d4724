"""Classify a long text in slices, so that the event loop goes on between them; the same decision.

Counting terms is additive over slices that no word crosses. Cuts lie at characters that end a word
and that lower-casing does not look across (a Greek final sigma depends on its neighbours).
"""

import asyncio
import re
from collections.abc import Iterator

import numpy as np

from er.routing.arrays import Ints
from er.routing.router import Router

SLICE_CHARACTERS = 8192
CUT = re.compile(r"[\s,;!?()\[\]{}<>/\\\"+=*&%$#@|~\u3001\u3002\uff01\uff0c\uff1b\uff1f]")
NO_LETTER = re.compile(r"\W")


def cut(text: str, characters: int = SLICE_CHARACTERS) -> Iterator[str]:
    """Slices of a text, about so many characters long, that split no word.

    Of a run without any end of a word only the first and last slices are kept: no term is so long.
    """
    start = 0
    while start < len(text):
        end = start + characters
        if end >= len(text):
            yield text[start:]
            return
        for pattern in (CUT, NO_LETTER):
            if found := pattern.search(text, end, end + 4 * characters):
                end = found.end()
                yield text[start:end]
                break
        else:
            if end + 4 * characters >= len(text):
                yield text[start:]
                return
            yield from _around_a_run(text[start:end])
            end += 4 * characters
            while end < len(text) and not (found := NO_LETTER.search(text, end, end + characters)):
                yield ""
                end += characters
            end = found.end() if end < len(text) and found else len(text)
        start = end


def _around_a_run(head: str) -> Iterator[str]:
    """What comes before the run of letters that `head` ends with."""
    end = len(head)
    while end and (head[end - 1].isalnum() or head[end - 1] == "_"):
        end -= 1
    yield head[:end]


async def scores(router: Router, text: str, characters: int = SLICE_CHARACTERS) -> list[float]:
    """What `router.scores` gives, with a turn of the event loop after every slice."""
    return router.lookup.score_rows(*await count(router, text, characters))


async def count(router: Router, text: str, characters: int = SLICE_CHARACTERS) -> tuple[Ints, Ints]:
    """What `router.lookup.rows` gives, with a turn of the event loop after every slice."""
    totals = np.zeros(len(router.terms), np.int64)
    in_order = []
    for piece in cut(text, characters):
        rows, counts = router.lookup.rows(piece)
        in_order.append(rows[totals[rows] == 0])
        totals[rows] += counts
        await asyncio.sleep(0)
    touched = np.concatenate(in_order) if in_order else np.zeros(0, np.int32)
    return touched, totals[touched].astype(np.int32)
