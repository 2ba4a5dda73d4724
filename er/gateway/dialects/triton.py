"""Triton's generate extension: `{"text_input": ..., "max_tokens": ...}`."""

import msgspec


class Generate(msgspec.Struct):
    """What the gateway reads of a request; the rest passes unread."""

    text_input: str


_decoder = msgspec.json.Decoder(Generate)


def prompt(body: bytes) -> str:
    """The text of a request. Raises ValueError, saying what is wrong, when there is none."""
    try:
        return _decoder.decode(body).text_input
    except msgspec.ValidationError:
        raise ValueError("text_input is missing or is not a string") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is not JSON") from None
