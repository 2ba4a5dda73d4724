"""A limit on a prompt's tokens, which are counted only where they may be too many: a text has no
more of them than bytes.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from er.config.gateway import GatewayLimits

if TYPE_CHECKING:
    from er.corpus.tokenizer import Encoding

SLICE_CHARACTERS = 16384
BYTES_AT_MOST = 4  # of a character


class TokenLimit:
    """At most so many tokens of the text that is classified, without a chat's template."""

    def __init__(self, at_most: int, encoding: "Encoding") -> None:
        self.at_most, self._encoding = at_most, encoding

    def surely_holds(self, text: str) -> bool:
        """Whether a text has so few bytes that nothing need be counted."""
        if len(text) * BYTES_AT_MOST <= self.at_most:
            return True
        return (
            len(text) <= self.at_most and len(text.encode(errors="surrogatepass")) <= self.at_most
        )

    async def holds(self, text: str) -> bool:
        """Whether the text is within the limit: counted by a thread, a slice at a time, up to the
        limit. A cut between slices may make two tokens of one."""
        if self.surely_holds(text):
            return True
        left = self.at_most
        for piece in slices(text):
            left -= await asyncio.to_thread(self._count, piece)
            if left < 0:
                return False
        return True

    def _count(self, text: str) -> int:
        [tokens] = self._encoding.encode_ordinary_batch([text])  # this lets other threads run
        return len(tokens)


def slices(text: str, characters: int = SLICE_CHARACTERS) -> Iterator[str]:
    """The text in pieces of so many characters at most, cut before a space where there is one."""
    at = 0
    while at < len(text):
        end = at + characters
        if end < len(text):
            space = text.rfind(" ", at + characters // 2, end)
            end = space if space > 0 else end
        yield text[at:end]
        at = end


def limit(limits: GatewayLimits) -> TokenLimit | None:
    """The limit that is configured; None without one.

    Raises ConfigError when its file is no tokenizer, ErError when the package `tokenizers` is
    missing.
    """
    if not limits.prompt_tokens:
        return None
    from er.corpus import tokenizer

    found = TokenLimit(limits.prompt_tokens, tokenizer.of_file(Path(limits.tokenizer)))
    found._count("now, not at the first prompt")
    return found
