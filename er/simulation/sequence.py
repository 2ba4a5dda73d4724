"""One request inside an engine."""

from dataclasses import dataclass

ALONE = -1  # a prompt without a group


@dataclass
class Sequence:
    """What an engine knows of a request."""

    key: int
    input_tokens: int
    output_tokens: int
    group: int = ALONE
    shared_tokens: int = 0  # leading ones that an earlier prompt of its group had
    generated: int = 0
    context: int = 0  # tokens to prefill: the prompt, and after a pause what was generated
    prefilled: int = 0  # of them
    blocks: int = 0  # of KV cache, those in its group's chain included
    chained: int = 0  # how many of its blocks lie in its group's chain

    @property
    def finished(self) -> bool:
        """Whether it has all its tokens."""
        return self.generated == self.output_tokens

    @property
    def decodes(self) -> bool:
        """Whether all its context is prefilled."""
        return self.prefilled == self.context
