"""`python3 tests/gpu/tiny_llama.py FOLDER`: a Hugging Face directory of a Llama, weights at random.

Run by the container's own Python, whose torch and transformers it needs. One token is one ASCII
character, and there are no others, so that whatever the model says is text.
"""

import sys
from pathlib import Path

import tokenizers
import tokenizers.decoders
import tokenizers.models
import transformers

CHARACTERS = 128


def main(folder: Path) -> None:
    vocabulary = {chr(number): number for number in range(CHARACTERS)}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    model.decoder = tokenizers.decoders.Fuse()  # without one, blanks stand between the tokens
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token="\x00", pad_token="\x00"
    ).save_pretrained(folder)
    shape = transformers.LlamaConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=CHARACTERS,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.set_seed(0)
    transformers.LlamaForCausalLM(shape).half().save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
