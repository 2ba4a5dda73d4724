"""Which prompts begin alike, for the reuse of KV-cache blocks: a group, and how many tokens of it.

On the virtual clock the workload says it (`Prompt.group`, `Prompt.shared_tokens`), and a prompt
sent again finds all of itself. Inside Triton it is found in the tokens. Both are the same where
prompts have in common only what their workload says.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from er.results.request import Prompt

Ints = NDArray[np.int64]


def groups_of(prompts: Sequence[Prompt]) -> tuple[Ints, Ints]:
    """The group of each prompt, in order of sending, and how many of its leading tokens an earlier
    one of that group had. A prompt that its workload leaves alone has a group of its own."""
    own = itertools.count(max((prompt.group for prompt in prompts), default=0) + 1)
    known: dict[int, int] = {}  # group by identity: a ladder sends the same prompts again
    group = np.empty(len(prompts), np.int64)
    shared_tokens = np.empty(len(prompts), np.int64)
    for i, prompt in enumerate(prompts):
        again = id(prompt) in known
        if not again:
            known[id(prompt)] = prompt.group if prompt.group >= 0 else next(own)
        group[i] = known[id(prompt)]
        shared_tokens[i] = prompt.input_tokens if again else prompt.shared_tokens
    return group, shared_tokens


class Prefixes:
    """What the prompts of one engine had in common so far, in whole blocks."""

    def __init__(self, tokens_per_block: int) -> None:
        self.tokens_per_block = tokens_per_block
        self.groups: dict[int, int] = {}  # by the hash of a block and all before it
        self.ids = itertools.count()

    def place(self, tokens: Sequence[int]) -> tuple[int, int]:
        """The group of a prompt, and how many of its leading tokens an earlier one had."""
        size, key = self.tokens_per_block, 0
        keys = []
        for end in range(size, len(tokens) + 1, size):
            key = hash((key, *tokens[end - size : end]))
            keys.append(key)
        shared = list(itertools.takewhile(self.groups.__contains__, keys))
        group = self.groups[shared[-1]] if shared else next(self.ids)
        for key in keys[len(shared) :]:
            self.groups[key] = group
        return group, len(shared) * size
