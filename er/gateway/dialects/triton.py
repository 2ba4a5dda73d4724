"""Triton's generate extension: `{"text_input": ..., "max_tokens": ...}`."""

import msgspec

ABSENT = msgspec.Raw()


class Generate(msgspec.Struct):
    """What the gateway reads of a request; where experts speak the same, the rest passes unread.

    Values other than the text are kept as they were written.
    """

    text_input: str
    max_tokens: msgspec.Raw = ABSENT
    temperature: msgspec.Raw = ABSENT
    top_p: msgspec.Raw = ABSENT
    random_seed: msgspec.Raw = ABSENT
    stop_words: msgspec.Raw = ABSENT

    @property
    def text(self) -> str:
        """What is classified."""
        return self.text_input


_decoder = msgspec.json.Decoder(Generate)


def read(body: bytes) -> Generate:
    """A request. Raises ValueError, saying what is wrong, when it is none."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        raise ValueError("text_input is missing or is not a string") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is not JSON") from None
