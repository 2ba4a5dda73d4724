"""The data plane's paths: which dialect is spoken, where the prompt is, how experts get it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from er.gateway.dialects import openai, triton
from er.gateway.dialects.translate import OpenAIFromTriton, Translation, TritonFromOpenAI
from er.gateway.fast.replica import OPENAI

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica


class Route(NamedTuple):
    """One path that is relayed."""

    action: str  # how an expert's path ends that speaks the same dialect
    openai: bool
    prompt: Callable[[bytes], str]  # raises ValueError where there is none

    def for_expert(self, body: bytes, replica: "Replica") -> tuple[str, bytes, Translation | None]:
        """End of the path, body and, between dialects, translation. Raises ValueError."""
        if self.openai is (replica.dialect == OPENAI):
            if self.openai and replica.model and openai.read(body).model != replica.model:
                body = openai.with_model(body, replica.model)
            return self.action, body, None
        translation: Translation
        if self.openai:
            translation = OpenAIFromTriton(body, chat=self.action == "chat/completions")
        else:
            streams = self.action == "generate_stream"
            translation = TritonFromOpenAI(body, replica.model, streams=streams)
        return translation.action, translation.body, translation


ROUTES = {
    b"/v2/models/ensemble/generate_stream": Route("generate_stream", False, triton.prompt),
    b"/v2/models/ensemble/generate": Route("generate", False, triton.prompt),
    b"/v1/chat/completions": Route("chat/completions", True, openai.prompt),
    b"/v1/completions": Route("completions", True, openai.prompt),
}
