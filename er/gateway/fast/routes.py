"""The data plane's paths: which dialect is spoken, where the prompt is, how experts get it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from er.gateway.dialects import openai, triton
from er.gateway.dialects.translate import OpenAIFromTriton, Translation, TritonFromOpenAI
from er.gateway.fast.replica import OPENAI

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica


Prompt = openai.Request | triton.Generate
Outgoing = tuple[str, bytes, Translation | None]  # end of the path, body, between dialects the last


class Route(NamedTuple):
    """One path that is relayed."""

    action: str  # how an expert's path ends that speaks the same dialect
    openai: bool
    read: Callable[[bytes], Prompt]  # raises ValueError for what is no request

    def for_expert(self, body: bytes, prompt: Prompt, replica: "Replica") -> Outgoing:
        """What an expert is sent for a body, and what was read of it. Raises ValueError."""
        if self.openai is (replica.dialect == OPENAI):
            if isinstance(prompt, openai.Request) and replica.model not in ("", prompt.model):
                body = openai.with_model(body, replica.model)
            return self.action, body, None
        translation: Translation
        if isinstance(prompt, openai.Request):
            translation = OpenAIFromTriton(prompt, chat=self.action == "chat/completions")
        else:
            streams = self.action == "generate_stream"
            translation = TritonFromOpenAI(prompt, replica.model, streams=streams)
        return translation.action, translation.body, translation


ROUTES = {
    b"/v2/models/ensemble/generate_stream": Route("generate_stream", False, triton.read),
    b"/v2/models/ensemble/generate": Route("generate", False, triton.read),
    b"/v1/chat/completions": Route("chat/completions", True, openai.read_chat),
    b"/v1/completions": Route("completions", True, openai.read_completion),
}
