"""A server whose certificate is not trusted gets no prompts."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from er.config import LoadClient
from er.load.users import run_point
from er.results.request import Endpoint
from tests.unit.load.fakes import load, prompt


def self_signed(folder: Path) -> Path:
    """A certificate for localhost with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    path = folder / "localhost.pem"
    path.write_bytes(
        key.private_bytes(pem, form, serialization.NoEncryption()) + certificate.public_bytes(pem)
    )
    return path


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A TLS server that says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    context.set_alpn_protocols(["h2", "http/1.1"])
    listener = create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
        listener.shutdown(2)
    thread.join()


@pytest.mark.parametrize(
    ("client", "scheme"), [(LoadClient.aiohttp, "https"), (LoadClient.grpc, "grpcs")]
)
def test_a_certificate_of_nobody_known(port: int, client: LoadClient, scheme: str) -> None:
    address = f"localhost:{port}"
    endpoint = Endpoint(f"{scheme}://{address}/fake", "fake", grpc_address=address)
    settings = load(client=client, requests_per_user=1, warmup_requests_per_user=0)
    (request,) = run_point(endpoint, [prompt()], 1, settings, lambda _: None).requests
    assert request.error == "TLS failed"
