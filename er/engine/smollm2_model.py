"""SmolLM2 inside Triton's Python backend (decoupled): llama.cpp batches continuously.

Every request has a thread of its own, in which llama.cpp calls back with each token. The only
`end_id` with a meaning is -1, no end; `return_perf_metrics` is ignored.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # exists inside Triton only
import xllamacpp

# Recommended for chats by the model's authors.
TEMPERATURE = 0.2
TOP_P = 0.9
NO_END = -1
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights."""
        configured = json.loads(args["model_config"])["parameters"]
        parameters = {name: value["string_value"] for name, value in configured.items()}
        settings = xllamacpp.CommonParams()
        settings.model.path = parameters["gguf"]
        settings.n_parallel = int(parameters["sequences"])
        settings.n_ctx = int(parameters["max_seq_len"]) * settings.n_parallel
        settings.cpuparams.n_threads = int(parameters["threads"])
        settings.cpuparams_batch.n_threads = int(parameters["threads"])
        settings.cache_ram_mib = 0  # no answer may profit from an earlier one
        self.llama = xllamacpp.Server(settings)

    def execute(self, requests: list[Any]) -> None:
        """Pass requests to llama.cpp; each answer is sent from a thread of its own."""
        for request in requests:
            answer = Answer(request.get_response_sender())
            threading.Thread(target=answer.run, args=[self.llama, request], daemon=True).start()


class Answer:
    """The stream of one answer."""

    def __init__(self, sender: Any) -> None:
        self.sender = sender
        self.streamed = True
        self.tokens = 0
        self.text = ""
        self.error = ""

    def run(self, llama: Any, request: Any) -> None:
        """Generate an answer and send it; always closes the stream."""
        try:
            self.streamed = bool(value(request, "stream", False))
            llama.handle_chat_completions(arguments_of(request), self.take)
            if self.error:
                raise ValueError(self.error)
            if self.sender.is_cancelled():
                pb_utils.Logger.log_info(f"the client left after {self.tokens} tokens")
            elif not self.streamed:
                self.send(self.text)
        except Exception as error:
            self.sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))))
        finally:
            self.sender.send(flags=FINAL)

    def take(self, chunk: dict[str, Any]) -> bool:
        """Send the tokens of one chunk; True stops the generation."""
        if "error" in chunk:
            self.error = str(chunk["error"]["message"])
            return True
        choice = chunk["choices"][0]
        text = choice["delta"].get("content") or ""
        # llama.cpp holds an incomplete character back, even at the end of the answer.
        if not text and choice.get("finish_reason") != "length":
            return False
        tokens = chunk["timings"]["predicted_n"] - self.tokens
        self.tokens += tokens
        self.text += text
        if self.streamed:
            for part in per_token(text, tokens):
                self.send(part)
        return bool(self.sender.is_cancelled())

    def send(self, text: str) -> None:
        """Send one event."""
        tensor = pb_utils.Tensor("text_output", np.array([text.encode()], dtype=np.object_))
        self.sender.send(pb_utils.InferenceResponse([tensor]))


def per_token(text: str, tokens: int) -> Iterator[str]:
    """A text for each token; llama.cpp holds tokens back until a character is complete."""
    if tokens:
        yield from [""] * (tokens - 1)
        yield text


def arguments_of(request: Any) -> dict[str, Any]:
    """The request as arguments of llama.cpp, which adds the model's chat template.

    Raises ValueError when max_tokens is below 1.
    """
    max_tokens = int(value(request, "max_tokens", 0))
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}: ask for at least 1")
    return {
        "messages": [{"role": "user", "content": str(value(request, "text_input", b""), "utf-8")}],
        "max_tokens": max_tokens,
        "temperature": float(value(request, "temperature", TEMPERATURE)),
        "top_p": float(value(request, "top_p", TOP_P)),
        "seed": int(value(request, "random_seed", 0)),
        "ignore_eos": int(value(request, "end_id", 0)) == NO_END,
        "stop": words(request, "stop_words"),
        "logit_bias": [[word, False] for word in words(request, "bad_words")],
        "stream": True,
        "timings_per_token": True,
        "cache_prompt": False,
    }


def words(request: Any, name: str) -> list[str]:
    """The texts of an input, without empty ones, which clients send for an empty list."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return (
        [] if tensor is None else [str(word, "utf-8") for word in tensor.as_numpy().ravel() if word]
    )


def value(request: Any, name: str, default: Any) -> Any:
    """The only value of an input, or the default when it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().ravel()[0]
