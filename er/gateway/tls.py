"""TLS between a gateway and its clients."""

import ssl

from er.config import FastGateway
from er.errors import ConfigError


def context(settings: FastGateway) -> ssl.SSLContext | None:
    """What speaks TLS to clients; None without a certificate. Raises ConfigError for a bad one."""
    if not settings.tls_certificate:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A password, though none: else an encrypted key is asked for in the terminal.
        made.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"gateway.tls_certificate {settings.tls_certificate} and gateway.tls_key cannot be "
            f"used: {error.strerror or error}"
        ) from error
    return made
