"""The gRPC client against good and faulty servers that speak Triton's protocol."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from er.config import LoadClient
from er.errors import ConfigError
from er.load import command as cli
from er.load.proof import prove
from er.load.users import run_point
from er.options import parse_arguments
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import closed_port, load, prompt

INPUTS = [("text_input", "BYTES", [-1, 1]), ("max_tokens", "INT32", [-1, 1])]

Answer = Callable[[Any, Any], Iterator[Any]]  # a ModelInferRequest and the context
Serve = Callable[[Answer], Endpoint]


def token(text: str, **floats: list[float]) -> Any:
    """A response with one piece of text."""
    content = serialize_byte_tensor(np.array([text.encode()], dtype=object)).item()
    answer = pb.ModelInferResponse(model_name="fake", raw_output_contents=[content])
    answer.outputs.add(name="text_output", datatype="BYTES", shape=[1, 1])
    for name, values in floats.items():
        answer.outputs.add(name=name, datatype="FP32", shape=[1, len(values)])
        answer.raw_output_contents.append(np.array(values, np.float32).tobytes())
    return pb.ModelStreamInferResponse(infer_response=answer)


def fake(address: str, scheme: str = "grpc") -> Endpoint:
    return Endpoint(f"{scheme}://{address}/fake", "fake", grpc_address=address)


@contextmanager
def serving(answer: Answer, inputs: list[tuple[str, str, list[int]]]) -> Iterator[Endpoint]:
    """A server with one model, whose streams are what `answer` yields."""

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802
            metadata = pb.ModelMetadataResponse(name=request.name)
            for name, datatype, shape in inputs:
                metadata.inputs.add(name=name, datatype=datatype, shape=shape)
            return metadata

        def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            for request in requests:
                yield from answer(request, context)

    server = grpc.server(ThreadPoolExecutor(16))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield fake(f"127.0.0.1:{port}")
    finally:
        server.stop(0).wait()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving(answer, INPUTS))


def one(endpoint: Endpoint, **changes: Any) -> Request:
    """The only request of a point of one user."""
    few = {"requests_per_user": 1, "warmup_requests_per_user": 0, "client": LoadClient.grpc}
    point = run_point(endpoint, [prompt()], 1, load(**(few | changes)), lambda _: None)
    return point.requests[0]


def stream(request: Any, _context: Any) -> Iterator[Any]:
    """As many tokens as asked for."""
    (max_tokens,) = np.frombuffer(request.raw_input_contents[1], np.int32)
    for number in range(max_tokens - 1):
        yield token(f"t{number} ")
        time.sleep(0.002)
    yield token("ü", token_lateness=[0.0, 0.25])


def test_a_request_holds_what_was_seen(serve: Serve) -> None:
    received: list[Any] = []

    def noting(request: Any, context: Any) -> Iterator[Any]:
        received.append(request)
        yield from stream(request, context)

    request = one(serve(noting))
    assert (request.error, request.status, request.text) == ("", 200, "t0 t1 ü")
    assert request.token_lateness == [0.0, 0.25]
    times = [request.send_s, *request.token_times_s, request.end_s]
    assert len(times) == 5
    assert times == sorted(times)
    assert len(set(request.token_times_s)) == 3
    assert [(i.name, list(i.shape)) for i in received[0].inputs] == [
        ("text_input", [1, 1]),
        ("max_tokens", [1, 1]),
    ]
    assert received[0].raw_input_contents[0].endswith(b"Hello")


@pytest.mark.parametrize("stop_at_eos", [False, True])
def test_a_length_is_forced_unless_the_model_may_end(stop_at_eos: bool) -> None:
    ends: list[list[int]] = []

    def noting(request: Any, context: Any) -> Iterator[Any]:
        contents = zip(request.inputs, request.raw_input_contents, strict=True)
        ends.append(
            [np.frombuffer(raw, np.int32)[0] for it, raw in contents if it.name == "end_id"]
        )
        yield from stream(request, context)

    few = load(requests_per_user=1, warmup_requests_per_user=0, client=LoadClient.grpc)
    sent = replace(prompt(), stop_at_eos=stop_at_eos)
    with serving(noting, [*INPUTS, ("end_id", "INT32", [-1, 1])]) as endpoint:
        run_point(endpoint, [sent], 1, few, lambda _: None)
    assert ends == [[] if stop_at_eos else [-1]]


def test_many_users_over_two_points_of_a_ladder(serve: Serve) -> None:
    endpoint = serve(stream)
    for users in (4, 8):
        settings = load(client=LoadClient.grpc)
        point = run_point(endpoint, [prompt()], users, settings, lambda _: None)
        assert sum(request.measured for request in point.requests) == 2 * users
        assert {request.error for request in point.requests} == {""}
        evidence = prove(point, users)
        assert evidence.in_flight_share > 0.5
        assert np.isnan(evidence.read_delay_p99_s)  # the kernel's stamps do not come this far


def error_response(_request: Any, _context: Any) -> Iterator[Any]:
    yield token("t0 ")
    yield pb.ModelStreamInferResponse(error_message="no KV\ncache")


def unavailable(_request: Any, context: Any) -> Iterator[Any]:
    context.abort(grpc.StatusCode.UNAVAILABLE, "model is gone")
    yield


def too_many(_request: Any, context: Any) -> Iterator[Any]:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full")
    yield


def nothing(_request: Any, _context: Any) -> Iterator[Any]:
    return iter(())


def stall(_request: Any, context: Any) -> Iterator[Any]:
    yield token("t0 ")
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(60)


@pytest.mark.parametrize(
    ("answer", "status", "error", "tokens"),
    [
        (error_response, 200, "server error: no KV cache", 1),
        (unavailable, 0, "gRPC UNAVAILABLE: model is gone", 0),
        (too_many, 0, "gRPC RESOURCE_EXHAUSTED: queue is full", 0),
        (nothing, 0, "no tokens", 0),
        (stall, 200, "timeout after 2 s", 1),
    ],
)
def test_a_fault_is_an_error_of_its_request(
    serve: Serve, answer: Answer, status: int, error: str, tokens: int
) -> None:
    request = one(serve(answer), request_timeout_s=2)
    assert not request.ok
    assert (request.status, request.error, request.output_tokens) == (status, error, tokens)
    assert request.end_s >= request.send_s > 0


@contextmanager
def cut_after(endpoint: Endpoint, tokens: bytes) -> Iterator[Endpoint]:
    """A relay to `endpoint` that resets the connection once the server has sent `tokens`."""
    port = int(endpoint.grpc_address.split(":")[1])
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        source.settimeout(0.05)  # who waits in recv keeps a connection open that others close
        with suppress(OSError):
            while True:
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    return
                sink.sendall(data)
                if tokens in data:
                    time.sleep(0.05)  # a reset would take what has not been read
                    # SO_LINGER of 0 seconds makes the close a reset.
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sink.close()
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield fake(f"127.0.0.1:{listener.getsockname()[1]}")


def test_a_reset_inside_the_stream(serve: Serve) -> None:
    with cut_after(serve(stall), b"t0 ") as endpoint:
        request = one(endpoint)
    assert (request.error, request.output_tokens) == ("connection broke inside the stream", 1)


@pytest.mark.parametrize(
    ("scheme", "address", "error"),
    [
        ("grpc", "127.0.0.1:{closed}", "connection refused"),
        ("grpc", "nowhere.invalid:80", "host name not found"),
        ("grpcs", "{plain}", "TLS failed"),
    ],
    ids=["closed port", "unknown name", "no TLS"],  # a port would be another name in each process
)
def test_a_server_that_cannot_be_reached(
    serve: Serve, scheme: str, address: str, error: str
) -> None:
    plain = serve(stream).grpc_address
    endpoint = fake(address.format(closed=closed_port(), plain=plain), scheme)
    settings = load(requests_per_user=1000, client=LoadClient.grpc)
    point = run_point(endpoint, [prompt()], 2, settings, lambda _: None)
    assert {request.error for request in point.requests} == {error}
    assert len(point.requests) < 9


def test_a_model_with_other_inputs_is_an_error() -> None:
    with serving(stream, [("image", "FP32", [3, 3])]) as endpoint:
        assert one(endpoint).error == "model fake takes no text_input, but image"


def test_the_command_line_takes_an_address_of_grpc() -> None:
    target, config = cli.request_of(
        parse_arguments(cli.COMMAND, ["target=grpc://127.0.0.1:8001/ensemble", "load=full"])
    )
    assert target == Endpoint("grpc://127.0.0.1:8001/ensemble", "ensemble", "127.0.0.1:8001")
    assert config.load.client is LoadClient.grpc
    for wrong in (["target=grpc://h:1"], ["target=grpc://h:1/m", "load.client=sockets"]):
        with pytest.raises(ConfigError, match=r"no target|choose load\.client=grpc"):
            cli.request_of(parse_arguments(cli.COMMAND, wrong))
