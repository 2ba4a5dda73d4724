"""Prompts from the files people have."""

import json
from pathlib import Path

import pytest

from er.load.prompt_files import texts

CHAT = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
# What the file holds, and the text and length of each of its prompts.
FILES: dict[str, tuple[object, list[tuple[str, object]]]] = {
    "er": ({"text": "Hi", "max_tokens": 12}, [("Hi", 12)]),
    "aiperf single turn": ({"text": "Hi", "output_length": 12}, [("Hi", 12)]),
    "aiperf texts": ({"texts": ["a", "b"]}, [("a\n\nb", None)]),
    "aiperf multi turn": (
        {"session_id": "a", "turns": [{"text": "a"}, {"text": "b", "output_length": 3}]},
        [("a", None), ("a\n\nb", 3)],
    ),
    "aiperf inputs.json": (
        {"data": [{"session_id": "a", "payloads": [CHAT | {"max_tokens": 7}]}]},
        [("Be brief.\n\nHi", 7)],
    ),
    "aiperf mooncake": (
        {"text_input": "What is the capital of France?", "output_length": 20},
        [("What is the capital of France?", 20)],
    ),
    "genai-perf": ({"text_input": "Hi"}, [("Hi", None)]),
    "vLLM custom": ({"prompt": "Why?", "output_tokens": 5}, [("Why?", 5)]),
    "GuideLLM": (
        {"prompt": "Hello, how are you?", "output_tokens_count": 5},
        [("Hello, how are you?", 5)],
    ),
    "ShareGPT": (
        [
            {
                "id": "Q_0",
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Yes"},
                ],
            }
        ],
        [("Hi", None)],
    ),
    "OpenAI batch": ({"custom_id": "1", "body": CHAT}, [("Be brief.\n\nHi", None)]),
    "chat log": (CHAT, [("Be brief.\n\nHi", None)]),
    "content in parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        [("Hi", None)],
    ),
    "half a surrogate pair": ({"text": "a\ud800"}, [("a?", None)]),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("indent", [None, 2])
def test_prompts_are_known_by_their_keys(tmp_path: Path, name: str, indent: int | None) -> None:
    content, prompts = FILES[name]
    path = tmp_path / "prompts.JSONL"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content, indent=indent).encode() + b"\r\n")
    assert [(text, length) for _, text, _, length, _, _ in texts(path)] == prompts


def test_the_answer_of_a_recorded_conversation_gives_its_length(tmp_path: Path) -> None:
    path = tmp_path / "share.json"
    path.write_text(json.dumps(FILES["ShareGPT"][0]))
    assert [prompt.answer for prompt in texts(path)] == ["Yes"]
