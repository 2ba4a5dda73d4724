"""Read prompts from common kinds of files, which are recognised by the names of their keys.

Known are er's own (`text`), vLLM's custom data set and GuideLLM's (`prompt`), genai-perf's
(`text_input`), aiperf's (`texts`, `turns`, `payloads`), OpenAI's chats and batches (`messages`,
`body`) and ShareGPT's conversations.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from er.errors import ConfigError
from er.load.answer import replace_surrogates
from er.load.cutting import JOIN
from er.load.rows import rows

# Keys of the text, of entries with texts, and of the answer's length; the first that is found
# counts.
TEXTS = ("text", "prompt", "text_input", "texts", "messages", "conversations")
HOLDERS = ("data", "payloads", "turns", "body")
LENGTHS = ("max_tokens", "max_completion_tokens", "output_tokens", "output_length",
           "output_tokens_count")  # fmt: skip

DELAY_BELOW_MS = 1e12  # 30 years: a larger number is not a delay


class FilePrompt(NamedTuple):
    """A prompt of a file."""

    place: str  # in the file
    text: str
    label: str | None
    length: Any  # of the answer, unchecked; None without one
    answer: str  # as recorded; empty without one
    conversation: int  # number of the conversation, in order of first turns
    turn: int  # number of the turn, from 0; its text begins with the texts of earlier turns
    delay_s: float  # for which its user waits after the answer before it


def texts(path: Path) -> Iterator[FilePrompt]:
    """The prompts of a file, in order. Raises ConfigError, naming the line, without a text."""
    conversations: dict[object, tuple[int, list[str]]] = {}  # their numbers, texts of their turns
    for place, fields in rows(path):
        conversation = _conversation_of(place, fields)
        for count, entry in enumerate(_entries(fields)):
            text, answer = _text_of(entry)
            if text is None:
                raise ConfigError(
                    f'{place} has no prompt: give a string "text" (or "prompt", "text_input", '
                    '"messages", "conversations")'
                )
            label = entry.get("label")
            name = conversation or (place, count)
            number, turns = conversations.setdefault(name, (len(conversations), []))
            turns.append(replace_surrogates(text))
            yield FilePrompt(
                place=place,
                text=JOIN.join(turns),
                label=None if label is None else str(label),
                length=next((entry[name] for name in LENGTHS if name in entry), None),
                answer=answer,
                conversation=number,
                turn=len(turns) - 1,
                delay_s=_delay_s(entry) if len(turns) > 1 else 0.0,
            )


def unused(path: Path) -> tuple[str, ...]:
    """The keys of the first row, and of its prompts, that are not used."""
    _, first = next(rows(path), ("", {}))
    entries = list(_entries(first))
    names = dict.fromkeys(name for fields in (first, *entries) for name in fields)
    used = {
        "label",
        "session_id",
        *(("delay",) if len(entries) > 1 or "session_id" in first else ()),
    }
    for fields in (first, *entries):
        for known in (TEXTS, HOLDERS, LENGTHS):
            used |= set(next(([name] for name in known if name in fields), []))
    later = any(len(entry.get("conversations") or ()) > 2 for entry in entries)
    return (
        *(name for name in names if name not in used),
        *(["conversations after the first answer"] if later else []),
    )


def _conversation_of(place: str, fields: Mapping[str, Any]) -> str:
    """The name of the conversation that a row belongs to; empty if each prompt is independent."""
    if isinstance(fields.get("turns"), list):
        return place
    session = fields.get("session_id")
    return "" if session is None or "data" in fields else f"session {session}"


def _delay_s(entry: Mapping[str, Any]) -> float:
    """aiperf's `delay`, which is in milliseconds, in seconds; 0 without a valid one."""
    delay_ms = entry.get("delay")
    return (
        delay_ms / 1e3
        if isinstance(delay_ms, int | float) and 0 < delay_ms < DELAY_BELOW_MS
        else 0.0
    )


def _entries(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The prompts that one row holds."""
    if isinstance(fields.get("data"), list):
        for entry in fields["data"]:
            yield from _entries(entry if isinstance(entry, dict) else {})
    elif isinstance(fields.get("payloads"), list):
        yield from (entry for entry in fields["payloads"] if isinstance(entry, dict))
    elif isinstance(fields.get("turns"), list):
        yield from (turn if isinstance(turn, dict) else {"text": turn} for turn in fields["turns"])
    elif isinstance(fields.get("body"), dict):
        yield fields["body"]
    else:
        yield fields


def _text_of(entry: Mapping[str, Any]) -> tuple[str | None, str]:
    """The text of a prompt, None without one, and its recorded answer."""
    for name in ("text", "prompt", "text_input"):
        if isinstance(entry.get(name), str):
            return entry[name], ""
    if isinstance(entry.get("texts"), list):
        return JOIN.join(map(str, entry["texts"])), ""
    if isinstance(entry.get("messages"), list):
        contents = [_content(message) for message in entry["messages"]]
        return (JOIN.join(filter(None, contents)) or None), ""
    conversation = entry.get("conversations")
    if (
        isinstance(conversation, list)
        and conversation
        and all(isinstance(turn, dict) for turn in conversation)
    ):
        values = [str(turn.get("value", "")) for turn in conversation]
        return values[0], values[1] if len(values) > 1 else ""
    return None, ""


def _content(message: Any) -> str:
    """The text of a chat message, whose content may be a list of parts."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return JOIN.join(str(part["text"]) for part in content if "text" in part)
    return content if isinstance(content, str) else ""
