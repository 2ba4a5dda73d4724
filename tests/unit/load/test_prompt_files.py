"""Prompts from common kinds of files."""

import json
from pathlib import Path

import pytest

from er.load import command
from er.load.prompt_files import texts, unused
from er.load.trace_kinds import Source, holds_prompts

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
    assert [(prompt.text, prompt.length) for prompt in texts(path)] == prompts


def test_the_answer_of_a_recorded_conversation_gives_its_length(tmp_path: Path) -> None:
    path = tmp_path / "share.json"
    path.write_text(json.dumps(FILES["ShareGPT"][0]))
    assert [prompt.answer for prompt in texts(path)] == ["Yes"]


def test_rows_of_one_session_are_turns_of_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    sessions = ["a", 7, "a", "a", 7]
    lines = [{"session_id": session, "text_input": str(n)} for n, session in enumerate(sessions)]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = [(each.conversation, each.turn, each.text.split()) for each in texts(path)]
    assert found == [
        (0, 0, ["0"]),
        (1, 0, ["1"]),
        (0, 1, ["0", "2"]),
        (0, 2, ["0", "2", "3"]),
        (1, 1, ["1", "4"]),
    ]


def test_the_delay_before_a_later_turn_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    turns = [{"text": "a", "delay": 900}, {"text": "b", "delay": 2500}, {"text": "c"}]
    path.write_text(json.dumps({"session_id": "x", "turns": turns}))
    assert [each.delay_s for each in texts(path)] == [0, 2.5, 0]


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    row = {"text": "Hi", "prompt": "no", "max_tokens": 1, "topic": "x", "label": "y", "delay": 3}
    path.write_text(json.dumps(row))
    assert unused(path) == ("prompt", "topic", "delay")
    batch = {"custom_id": "1", "method": "POST", "body": CHAT | {"max_tokens": 3, "seed": 1}}
    path.write_text(json.dumps(batch))
    assert unused(path) == ("custom_id", "method", "seed")
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}] * 2
    path.write_text(json.dumps({"id": "1", "conversations": turns}))
    assert unused(path) == ("id", "conversations after the first answer")


@pytest.mark.parametrize("name", FILES)
def test_a_known_file_of_prompts_is_not_a_trace(tmp_path: Path, name: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(FILES[name][0]))
    assert holds_prompts(Source(path))


@pytest.mark.usefixtures("small_tokenizer")
def test_prompts_are_inspected_with_their_lengths(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my prompts.jsonl"
    path.write_text('{"text": "Why?", "max_tokens": 5, "x": 1}\n{"text": "No", "max_tokens": 7}\n')
    inspected = [f"inspect={path}", "workload.tokenizer=small", f"runs_dir={tmp_path}"]
    assert command.run_command(inspected) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[:4] == [
        f"{path}: 2 prompts",
        "input tokens: mean 3; min 2, p25 2, median 2, p95 4, max 4",
        "output tokens: mean 6; min 5, p25 5, median 5, p95 7, max 7",
        "columns that are not used: x",
    ]
    assert (tmp_path / "figures" / "prompts-my prompts.png").exists()
