"""The Llama 3 tokenizer, read from its package, and tokenizers of other models."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from er.config import FixedWorkload
from er.corpus import tokenizer
from er.errors import ErError
from er.load import prompts


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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A byte-level tokenizer with a special token, as models on Hugging Face bring one."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["The tide comes in and the boats go out and sail."] * 9, trainer)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def test_a_models_own_tokenizer_cuts_to_its_own_counts(own: Path) -> None:
    workload = FixedWorkload("fixed", "", "", str(own), input_tokens=37, output_tokens=2)
    texts = [("sea", "The tide, 世界 🐙! and <|end|> of it.\n"), ("sea", "Ça déjà va et vient.")]
    judge = Tokenizer.from_file(str(own))
    judge.encode_special_tokens = True
    for prompt in prompts.build(texts, workload, 20, 0, Path("unused")):
        assert len(judge.encode(prompt.text, add_special_tokens=False).ids) == 37


def test_a_file_that_is_not_a_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path / "tokenizer.json", tmp_path / "absent.json"):
        with pytest.raises(ErError, match=rf"{path.name} is not a tokenizer\.json"):
            tokenizer.of_file(path)
