"""How a server is reached: headers, passwords, proxies, IPv6, certificates, open files."""

import asyncio
import gc
import json
import resource
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from er.config import LoadClient
from er.errors import ConfigError
from er.load import command, credentials, descriptors, proxies, retries
from er.load.users import run_point
from er.options import parse_arguments
from er.results.request import Endpoint
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event, load, one, prompt, stream
from tests.unit.load.test_tls import self_signed

SECRET = "s3cr3t"
CHAT = "http://10.0.0.1:8000/v1/chat/completions"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "ER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(credentials.AUTHORIZATION, "")


@pytest.mark.usefixtures("client")
def test_headers_come_from_variables(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    settings = load(headers={"X-Api-Key": "MY_KEY"})
    server = serve(stream)
    assert one(server.endpoint, headers={"X-Api-Key": "MY_KEY"}).ok
    assert f"x-api-key: {SECRET}\r\n".encode() in server.heads[0].lower()
    assert SECRET not in repr(settings) + json.dumps(asdict(server.endpoint))


def test_a_header_without_a_value_is_refused_without_showing_values() -> None:
    with pytest.raises(ConfigError, match=r"X-Key with the value of \$NOT_THERE, which is not set"):
        credentials.check(load(headers={"X-Key": "NOT_THERE"}))
    with pytest.raises(ConfigError, match="gives X-Key no variable") as raised:
        load(headers={"X-Key": f"Bearer {SECRET}"})
    assert SECRET not in str(raised.value)
    with pytest.raises(ConfigError, match="a header's name has no such characters"):
        load(headers={"X Key": "MY_KEY"})


@pytest.mark.usefixtures("client")
def test_a_password_in_the_address_is_sent_and_not_kept(serve: Serve) -> None:
    server = serve(stream)
    target = server.endpoint.url.replace("http://", f"http://me:{SECRET}%40@")
    arguments = ["er.load", f"target={target}", "load.concurrency=[1]"]
    credentials.hide_password(arguments)
    assert arguments == ["er.load", f"target={server.endpoint.url}", "load.concurrency=[1]"]
    endpoint, _ = command.request_of(parse_arguments(command.COMMAND, arguments[1:]))
    assert one(endpoint).ok
    assert b"authorization: basic bWU6czNjcjN0QA==".lower() in server.heads[0].lower()
    assert SECRET.encode() not in server.heads[0]


def test_a_password_reaches_no_file_of_a_run(serve: Serve, tmp_path: Path) -> None:
    target = serve(stream).endpoint.url.replace("http://", f"http://me:{SECRET}@")
    overrides = ["load.concurrency=[1]", "load.requests_per_user=2", "load.requests_at_least=1"]
    overrides += [f"runs_dir={tmp_path}", "tracking.enabled=false"]
    done = subprocess.run(
        [sys.executable, "-m", "er.load", f"target={target}", *overrides],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"generate_stream" in kept
    assert SECRET.encode() not in kept
    assert SECRET not in done.stdout + done.stderr


def test_addresses_that_are_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxies.proxy_for(CHAT) == ""
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "near.example,10.9.9.9")
    assert proxies.proxy_for(CHAT) == "http://proxy:3128"
    for url in (
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://10.9.9.9:1/",
    ):
        assert proxies.proxy_for(url) == ""
    assert proxies.proxy_for("http://a.near.example/") == ""
    assert proxies.proxy_for("https://10.0.0.1/") == ""


def test_aiohttp_goes_through_the_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(stream)
    address = proxy.endpoint.url.partition("/v2")[0]
    monkeypatch.setenv("http_proxy", address)
    assert one(Endpoint(CHAT.replace("chat/", ""), "m"), client=LoadClient.aiohttp).status == 200
    assert proxy.heads[0].startswith(b"POST http://10.0.0.1:8000/v1/completions HTTP/1.1")


def test_sockets_refuse_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    with pytest.raises(ConfigError, match=r"a proxy for 10\.0\.0\.1, and load\.client=sock"):
        one(Endpoint(CHAT, "m"), client=LoadClient.sockets)


@pytest.mark.usefixtures("client")
def test_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.readline():
                length = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    head += line
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if head.startswith(b"GET"):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                self.rfile.read(length)
                heads.append(head)
                self.wfile.write(HEAD + chunk(event("t ") * 3) + LAST_CHUNK)

    monkeypatch.setattr(ThreadingTCPServer, "address_family", 10)
    monkeypatch.setattr(ThreadingTCPServer, "daemon_threads", True)
    with ThreadingTCPServer(("::1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert one(Endpoint(f"http://[::1]:{port}/v2/models/m/generate_stream", "m")).ok
        server.shutdown()
    assert f"host: [::1]:{port}".encode() in heads[0].lower()


@pytest.fixture
def https(tmp_path: Path) -> Iterator[Endpoint]:
    """A server that signed its own certificate, and streams."""
    loop = asyncio.new_event_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            writer.write(HEAD + chunk(event("t ") * 3) + LAST_CHUNK)
        await writer.drain()
        writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)

    async def stop() -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.1)  # connections close in later turns

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    port = server.sockets[0].getsockname()[1]
    yield Endpoint(f"https://localhost:{port}/v2/models/m/generate_stream", "m")
    asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # asyncio's, of a handshake that failed
        gc.collect()


def test_a_self_signed_certificate_is_accepted_with_tls_verify_false(https: Endpoint) -> None:
    assert one(https, client=LoadClient.aiohttp).error == "TLS failed"
    assert one(https, client=LoadClient.aiohttp, tls_verify=False).ok
    with pytest.raises(ConfigError, match=r"only load\.client=aiohttp can do without"):
        load(client=LoadClient.sockets, tls_verify=False)


@pytest.mark.parametrize("client", [LoadClient.aiohttp, LoadClient.sockets])
def test_too_few_open_files_are_found_before_the_start(
    client: LoadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 256))
    settings = load(client=client)
    descriptors.check(settings, 192)
    with pytest.raises(ConfigError, match=r"300 users need 364 open files .* the limit is 256"):
        run_point(Endpoint("http://h:1/x", "m"), [prompt()], 300, settings, lambda _: None)
    descriptors.check(replace(settings, client=LoadClient.sockets, workers="3"), 300)
    descriptors.check(replace(settings, client=LoadClient.grpc), 300)


Sent = list[float]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("closes", [False, True])
def test_a_server_that_is_too_busy_gets_a_request_again(serve: Serve, closes: bool) -> None:
    refusals = iter([True, True, False])

    async def busy_twice(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if next(refusals):
            writer.write(b"HTTP/1.1 429 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
            if closes:
                writer.close()
            return
        await stream(body, writer)

    request = one(serve(busy_twice).endpoint, request_timeout_s=60)
    assert (request.error, request.retries, request.output_tokens) == ("", 2, 3)
    assert 2 < request.ttft_s < 60  # its clock runs on


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    "retry_after",
    [
        "",
        "86400",
        "soon",
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu Nov 26 07:50:30 2099",
    ],
)
def test_a_wait_that_is_too_long_is_a_failure(serve: Serve, retry_after: str) -> None:
    async def busy(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        header = f"retry-after: {retry_after}\r\n" if retry_after else ""
        writer.write(f"HTTP/1.1 429 Busy\r\n{header}content-length: 0\r\n\r\n".encode())

    request = one(serve(busy).endpoint)
    assert (request.error, request.retries) == ("HTTP 429", 0)


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "Thu, 26 Nov 2020 07:50:30 GMT",
        "Thu Nov 26 07:50:30 2020",
        "26 Nov 2020 07:50:30 -0000",
    ],
)
def test_every_form_of_a_date_is_a_wait_and_none_is_a_storm(value: str) -> None:
    assert retries.wait_s(429, {"retry-after": value}) == retries.WAIT_AT_LEAST_S


@pytest.mark.usefixtures("client")
def test_a_server_that_is_always_too_busy_runs_out_of_time(serve: Serve) -> None:
    async def busy(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")

    request = one(serve(busy).endpoint, request_timeout_s=2.5)
    assert request.error == "timeout after 2.5 s"
    assert request.retries >= 1


@pytest.mark.usefixtures("client")
def test_a_missing_key_is_named_with_what_sets_it(serve: Serve) -> None:
    async def refuse(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")

    assert one(serve(refuse).endpoint).error == "HTTP 401: set ER_API_KEY, or load.headers"
