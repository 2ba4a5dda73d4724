"""The client that sends streamed requests with NVIDIA's client for Triton's gRPC.

All requests share one HTTP/2 connection, with a stream for each, whose end is the end of the
answer. The kernel's receive stamps are not available: a token's time is when the event loop
received it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from er.load import answer, credentials, tokens
from er.load.addresses import CONNECT_TIMEOUT_S
from er.load.answer import BadAnswerError
from er.results.request import Endpoint, Prompt, Request

OK = 200  # status of a request whose stream was answered, as over HTTP
CAUSES = {  # part of gRPC's message about a connection: the cause by which requests are counted
    "connection refused": "connection refused",
    "dns resolution failed": "host name not found",
    "domain name not found": "host name not found",
    "handshake": "TLS failed",
    "ssl": "TLS failed",
    "goaway": "connection closed",
    "socket closed": "connection reset",
    "connection reset": "connection reset",
}


@dataclass
class Client:
    """Sends prompts to the models of one server."""

    server: Any  # InferenceServerClient
    timeout_s: float  # of a whole request
    headers: dict[str, str] = field(default_factory=dict)  # of every call
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)  # what each model takes

    async def connect(self, endpoint: Endpoint, _connections: int) -> None:
        """Connect, and read the model's inputs; errors show when requests are sent."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._learn(endpoint.model)
        except (TimeoutError, InferenceServerException, BadAnswerError):
            pass

    async def send(self, endpoint: Endpoint, prompt: Prompt, request: Request) -> None:
        """Send `prompt` and fill in `request`; a fault of the server becomes its error."""
        results: list[Any] = []
        times_s: list[float] = []
        request.send_s = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):
                arguments = await self._arguments(endpoint.model, prompt)
                request.send_s = time.monotonic()
                await self._stream(arguments, request, results, times_s)
        except TimeoutError:
            request.error = f"timeout after {self.timeout_s:g} s"
        except (InferenceServerException, grpc.RpcError, BadAnswerError) as error:
            request.error = describe_error(error, bool(results))
        request.end_s = request.end_s or time.monotonic()
        try:
            tokens.enter_fields(map(_fields, results), times_s, request)
        except BadAnswerError as error:
            request.error = request.error or str(error)

    async def _arguments(self, model: str, prompt: Prompt) -> dict[str, Any]:
        inputs = self.inputs.get(model) or await self._learn(model)
        values: dict[str, object] = {
            "text_input": prompt.text.encode(),
            "max_tokens": prompt.output_tokens,
        }
        if not prompt.stop_at_eos:
            values["end_id"] = answer.NO_END
        return {
            "model_name": model,
            "inputs": [
                _input(inputs[name], value)
                for name, value in (values | {"stream": True}).items()
                if name in inputs
            ],
        }

    async def _learn(self, model: str) -> dict[str, Any]:
        """Read the inputs of the model, whose types and shapes differ between servers."""
        metadata = await self.server.get_model_metadata(model, headers=self.headers)
        inputs = {tensor.name: tensor for tensor in metadata.inputs}
        if "text_input" not in inputs:
            raise BadAnswerError(f"model {model} takes no text_input, but {', '.join(inputs)}")
        self.inputs[model] = inputs
        return inputs

    async def _stream(
        self, arguments: dict[str, Any], request: Request, results: list[Any], times_s: list[float]
    ) -> None:
        size = 0
        stream = self.server.stream_infer(_once(arguments), headers=self.headers)
        try:
            async for result, error in stream:
                now_s = time.monotonic()
                request.status = OK
                if error:
                    raise BadAnswerError(f"server error: {answer.shorten(error.message())}")
                size += result.get_response().ByteSize()
                if size > answer.ANSWER_AT_MOST:
                    raise BadAnswerError(answer.TOO_LONG)
                results.append(result)
                times_s.append(now_s)
            request.end_s = time.monotonic()
        finally:
            stream.cancel()  # otherwise Triton would continue the answer


@asynccontextmanager
async def opened(timeout_s: float, endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client of the server at `endpoint`."""
    secure = endpoint.url.startswith("grpcs")
    server = InferenceServerClient(endpoint.grpc_address, ssl=secure)
    try:
        yield Client(server, timeout_s, credentials.headers(endpoint))
    finally:
        await server.close()


def describe_error(error: Exception, begun: bool) -> str:
    """The cause by which a failed request is counted; `begun`: after the first token."""
    if isinstance(error, BadAnswerError):
        return str(error)
    if isinstance(error, InferenceServerException):  # of a call without a stream
        status, message = str(error.status()), str(error.message())
    else:
        assert isinstance(error, grpc.aio.AioRpcError)
        status, message = str(error.code()), str(error.details())
    for sign, cause in CAUSES.items():
        if sign in message.lower():
            return "connection broke inside the stream" if begun else cause
    return answer.shorten(f"gRPC {status.removeprefix('StatusCode.')}: {message}")


async def _once(arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield arguments


def _input(tensor: Any, value: object) -> Any:
    """One value in the shape of the model's input, with the batch dimension if it has one."""
    tensor_input = InferInput(tensor.name, [1] * len(tensor.shape), tensor.datatype)
    array = np.array([value], dtype=triton_to_np_dtype(tensor.datatype))
    tensor_input.set_data_from_numpy(array.reshape([1] * len(tensor.shape)))
    return tensor_input


def _fields(result: Any) -> dict[str, object]:
    """A response as the fields of an event of generate_stream."""
    fields: dict[str, object] = {}
    text = result.as_numpy("text_output")
    if text is not None and text.size:
        fields["text_output"] = text.flat[0].decode(errors="replace")
    lateness = result.as_numpy("token_lateness")
    if lateness is not None and lateness.size:
        fields["token_lateness"] = lateness.ravel().tolist()
    return fields
