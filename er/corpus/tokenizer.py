"""Tokenizers that work offline: the real Llama 3 tokenizer, or a model's own file.

Llama 3's vocabulary is a tiktoken BPE file inside Meta's `llama-models` package (Llama 3 Community
License); the split pattern is the one published with it.
"""

import base64
import functools
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol

import tiktoken

from er.corpus.packaged import Package, opened
from er.errors import ConfigError, ErError

LLAMA3_PACKAGE = Package(
    "llama-models", "0.3.0", "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f"
)
LLAMA3_VOCABULARY = "llama_models/llama3/tokenizer.model"
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Encoding(Hashable, Protocol):
    """The interface of a tokenizer that er uses; `tiktoken.Encoding` has it."""

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text; text that looks like a special token stays text."""

    def encode_ordinary_batch(self, text: list[str]) -> list[list[int]]:
        """The tokens of each text."""

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """The text of tokens; errors="ignore" leaves out an incomplete character at the end."""


@functools.cache
def llama3(cache_dir: Path) -> tiktoken.Encoding:
    """The Llama 3 tokenizer without its special tokens, so that all text stays text.

    Raises ErError when the package that holds the vocabulary cannot be fetched.
    """
    with opened(LLAMA3_PACKAGE, cache_dir) as archive:
        lines = archive.read(LLAMA3_VOCABULARY).splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    return tiktoken.Encoding(
        "llama3", pat_str=LLAMA3_SPLIT, mergeable_ranks=ranks, special_tokens={}
    )


@functools.cache
def of_file(path: Path) -> Encoding:
    """The tokenizer of a file `tokenizer.json`, which models on Hugging Face have.

    Raises ConfigError when the file is not one, ErError when the package `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ErError(
            f"{path} needs the package tokenizers: "
            "run .venv/bin/python -m pip install -e '.[huggingface]'"
        ) from error
    try:
        return HuggingFaceEncoding(Tokenizer.from_file(str(path)))
    except Exception as error:  # tokenizers raises Exception itself
        raise ConfigError(f"{path} is not a tokenizer.json ({error}): correct the path") from error


class HuggingFaceEncoding:
    """A tokenizer of the package `tokenizers`."""

    def __init__(self, tokenizer: Any) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # text stays text
        self.tokenizer = tokenizer

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text; text that looks like a special token stays text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_ordinary_batch(self, text: list[str]) -> list[list[int]]:
        """The tokens of each text."""
        encoded = self.tokenizer.encode_batch(text, add_special_tokens=False)
        return [each.ids for each in encoded]

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """The text of tokens; errors="ignore" leaves out an incomplete character at the end."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text.rstrip("\ufffd") if errors == "ignore" else text
