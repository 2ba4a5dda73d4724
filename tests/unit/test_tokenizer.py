"""The Llama 3 tokenizer, read from its package."""

from pathlib import Path

from er import tokenizer


def test_counts_as_llama_3_does(cache_dir: Path) -> None:
    encoding = tokenizer.llama3(cache_dir)
    assert encoding.n_vocab == 128_000
    # Known ids of Llama 3's vocabulary.
    assert encoding.encode("Hello, world!") == [9906, 11, 1917, 0]


def test_text_that_looks_like_a_special_token_is_text(cache_dir: Path) -> None:
    encoding = tokenizer.llama3(cache_dir)
    text = "<|begin_of_text|> 世界"
    assert encoding.decode(encoding.encode(text)) == text
    assert len(encoding.encode("<|begin_of_text|>")) > 1
