"""A simulated TensorRT-LLM engine inside Triton's Python backend (decoupled).

A separate thread keeps the engine's clock: it starts an iteration, sleeps until the scheduled end
of the iteration, sends each sequence its token, and starts the next iteration at the scheduled end,
so that the clock does not drift. The last response of a request holds how late each token was sent.
The text is filler; the run records that the engine is simulated.
"""

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # exists inside Triton only

from er.corpus.tokenizer import llama3
from er.simulation.batching import Batch
from er.simulation.cost import NS_PER_S, step_cost
from er.simulation.limits import RequestError, limits_of
from er.simulation.prefixes import Prefixes
from er.simulation.sequence import ALONE, Sequence
from er.simulation.spec import from_json

CANCELLATION_CHECK_NS = 100_000_000  # interval: a check costs as much as a token
WORDS = ("this", "answer", "is", "as", "long", "as", "its", "user", "asked", "for")


@dataclass
class Stream:
    """A request, and the sender of its answer."""

    arrival_ns: int
    input_tokens: int
    max_tokens: int
    group: int  # of prompts with the same beginning
    shared_tokens: int  # leading tokens that an earlier prompt of the group already had
    streamed: bool
    sender: Any
    lateness: list[float] = field(default_factory=list)
    text: str = ""  # not sent yet


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the engine from the model's parameters and start its clock."""
        configured = json.loads(args["model_config"])["parameters"]
        parameters = {name: value["string_value"] for name, value in configured.items()}
        self.tokenizer = llama3(Path(parameters["cache_dir"]))
        spec = from_json(parameters["spec"])
        self.prefixes = Prefixes(spec.engine.tokens_per_block)
        self.host_request_ns = round(spec.engine.correction.host_request_s * NS_PER_S)
        self.engine = Engine(Batch(step_cost(spec), limits_of(spec)))
        self.engine.thread.start()

    def execute(self, requests: list[Any]) -> None:
        """Pass requests to the engine, whose thread sends the answers later."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.engine.submit(self.stream(request, sender))
            except (RequestError, ValueError) as error:
                send_error(sender, str(error))

    def stream(self, request: Any, sender: Any) -> Stream:
        """A request in the form of the engine. Raises ValueError or RequestError for a bad one."""
        text = value(request, "text_input")
        max_tokens = value(request, "max_tokens")
        if text is None or max_tokens is None:
            raise ValueError("text_input and max_tokens are required: give both")
        tokens = self.tokenizer.encode(text.decode(), disallowed_special=())
        self.engine.batch.blocks_for(len(tokens), int(max_tokens))
        reuses = self.engine.batch.limits.kv_cache_reuse
        prefix = self.prefixes.place(tokens) if reuses else (ALONE, 0)
        streamed = bool(value(request, "stream"))
        arrival_ns = time.monotonic_ns() + self.host_request_ns
        return Stream(arrival_ns, len(tokens), int(max_tokens), *prefix, streamed, sender)

    def finalize(self) -> None:
        """Stop the clock."""
        self.engine.stop()


class Engine:
    """One in-flight batch in real time."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.clock_ns = 0  # scheduled end of the last iteration
        self.arrived: list[Stream] = []
        self.wake = threading.Condition()
        self.stopping = False
        self.streams: dict[int, Stream] = {}
        self.ids = itertools.count()
        self.checked_ns = 0
        self.thread = threading.Thread(target=self.run, name="engine", daemon=True)

    def submit(self, stream: Stream) -> None:
        """Add a request, which joins the first iteration that starts after its arrival."""
        with self.wake:
            self.arrived.append(stream)
            self.wake.notify()

    def stop(self) -> None:
        """Stop after the current iteration; unfinished answers end with an error."""
        with self.wake:
            self.stopping = True
            self.wake.notify()
        self.thread.join()

    def run(self) -> None:
        """Run iterations until the engine is stopped."""
        while not self.stopping:
            self.admit_arrivals()
            iteration = self.batch.start()
            if iteration is None:
                self.wait_for_arrival()
                continue
            self.clock_ns += iteration.duration_ns
            self.batch.finish(iteration)
            answers = [self.prepare(sequence) for sequence in iteration.sequences]
            sleep_until(self.clock_ns)
            for sequence, answer in zip(iteration.sequences, answers, strict=True):
                self.send(sequence, answer, iteration.duration_ns)
            self.forget_cancelled()
        for stream in [*self.streams.values(), *self.arrived]:
            send_error(stream.sender, "the server is stopping")

    def admit_arrivals(self) -> None:
        """Queue the requests that have arrived by the engine's clock."""
        with self.wake:
            due = [stream for stream in self.arrived if stream.arrival_ns <= self.clock_ns]
            del self.arrived[: len(due)]
        for stream in due:
            key = next(self.ids)
            self.streams[key] = stream
            self.batch.add(
                key, stream.input_tokens, stream.max_tokens, stream.group, stream.shared_tokens
            )

    def wait_for_arrival(self) -> None:
        """Sleep until a request arrives, and set the clock to its arrival."""
        with self.wake:
            self.wake.wait_for(lambda: self.arrived or self.stopping)
            if self.arrived:
                self.clock_ns = self.arrived[0].arrival_ns

    def prepare(self, sequence: Sequence) -> Any:
        """The response with a sequence's newest token, built before it is due.

        None when the token is sent with a later response.
        """
        stream = self.streams[sequence.key]
        stream.text += word(sequence)
        if sequence.finished or not stream.streamed:
            return None
        text, stream.text = stream.text, ""
        return response(text)

    def send(self, sequence: Sequence, answer: Any, step_ns: int) -> None:
        """Send a token that is due now; the last one with the lateness of all."""
        stream = self.streams[sequence.key]
        if answer is not None:
            stream.sender.send(answer)
        stream.lateness.append((time.monotonic_ns() - self.clock_ns) / step_ns)
        if sequence.finished:
            last = response(stream.text, stream.lateness)
            stream.sender.send(last, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            del self.streams[sequence.key]

    def forget_cancelled(self) -> None:
        """Remove requests whose client has gone from the batch."""
        if self.clock_ns - self.checked_ns < CANCELLATION_CHECK_NS:
            return
        self.checked_ns = self.clock_ns
        for key, stream in list(self.streams.items()):
            if stream.sender.is_cancelled():
                self.batch.cancel(key)
                stream.sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                del self.streams[key]


def sleep_until(deadline_ns: int) -> None:
    """Sleep to a point of the monotonic clock (clock_nanosleep underneath)."""
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / 1e9)


def word(sequence: Sequence) -> str:
    """The text of a sequence's newest token."""
    return " " + WORDS[(sequence.key + sequence.generated) % len(WORDS)]


def value(request: Any, name: str) -> Any:
    """The first element of an input; None when it is absent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy().flat[0]


def response(text: str, lateness: list[float] | None = None) -> Any:
    """One event of an answer."""
    tensors = [pb_utils.Tensor("text_output", np.array([text.encode()], dtype=np.object_))]
    if lateness is not None:
        tensors.append(pb_utils.Tensor("token_lateness", np.array(lateness, dtype=np.float32)))
    return pb_utils.InferenceResponse(tensors)


def send_error(sender: Any, message: str) -> None:
    """End a request with an error."""
    sender.send(
        pb_utils.InferenceResponse(error=pb_utils.TritonError(message)),
        flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL,
    )
