"""Counting and cutting text by tokens, offline, with the real Llama 3 tokenizer.

The vocabulary is a tiktoken BPE file inside Meta's `llama-models` package (Llama 3 Community
License); the split pattern is the one published with it.
"""

import base64
import functools
from pathlib import Path

import tiktoken

from er.packaged import Package, opened

LLAMA3_PACKAGE = Package(
    "llama-models", "0.3.0", "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f"
)
LLAMA3_VOCABULARY = "llama_models/llama3/tokenizer.model"
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@functools.cache
def llama3(cache_dir: Path) -> tiktoken.Encoding:
    """The Llama 3 tokenizer, without its special tokens: text stays text.

    Raises ErError when the package that holds the vocabulary cannot be had.
    """
    with opened(LLAMA3_PACKAGE, cache_dir) as archive:
        lines = archive.read(LLAMA3_VOCABULARY).splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    return tiktoken.Encoding(
        "llama3", pat_str=LLAMA3_SPLIT, mergeable_ranks=ranks, special_tokens={}
    )
