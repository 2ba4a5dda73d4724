"""A tiny Llama with random weights, converted, built and served by the real TensorRT-LLM."""

import json
from pathlib import Path

import pytest

from er import build
from er.engine import kinds
from er.server import kinds as servers
from er.server.embedded import prove
from er.sweep import plan

pytestmark = pytest.mark.gpu

SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 64, "parameters": 34_000_000}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A Hugging Face directory with a byte tokenizer; transformers is the container's."""
    import tokenizers
    import transformers

    folder = tmp_path / "hf"
    vocabulary = {character: index for index, character in enumerate(map(chr, range(32, 127)))}
    words = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="~", pad_token="~"
    ).save_pretrained(folder)
    shape = transformers.LlamaConfig(
        hidden_size=SHAPE["heads"] * SHAPE["head_dim"],
        intermediate_size=512,
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=SHAPE["heads"],
        num_key_value_heads=SHAPE["kv_heads"],
        vocab_size=32_000,
    )
    transformers.LlamaForCausalLM(shape).half().save_pretrained(folder)
    return folder


def test_built_reused_and_served(checkpoint: Path, tmp_path: Path) -> None:
    overrides = [
        "engine=trtllm",
        "server=container",
        "engine.container.runtime=bare",
        f"engine.checkpoint={checkpoint}",
        f"cache_dir={tmp_path / 'cache'}",
        "deployment=e",
        "deployment.experts=1",
        *(f"deployment.model.{name}={value}" for name, value in SHAPE.items()),
        "deployment.model.embedding_parameters=16_384_000",
        "engine.max_batch_size=8",
        "engine.max_num_tokens=512",
        "engine.max_input_len=256",
        "engine.max_seq_len=512",
    ]
    assert build.main(["action=options", *overrides]) == 0
    assert build.main(overrides) == 0
    [config] = plan(overrides)
    models = kinds.models(config)
    with servers.serve(models, config, tmp_path) as (endpoint,):
        prove(endpoint, 8)
    assert json.loads((tmp_path / "engine.json").read_text())["engine_key"]
