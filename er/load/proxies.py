"""The proxy of an address, from the environment: http_proxy, https_proxy, no_proxy."""

import ipaddress
import os
from urllib.parse import urlsplit

from er.errors import ConfigError


def proxy_for(url: str) -> str:
    """The proxy for `url`, or empty when it is reached directly, as this machine always is.

    Raises ConfigError when the proxy's address is not valid.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # imported only here: it takes megabytes

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    if not proxy or _is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    _check(proxy, f"{parts.scheme}_proxy")
    return proxy


def _check(proxy: str, variable: str) -> None:
    """Raise ConfigError for a bad address, without showing it: it may hold a password."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"${variable} is not the address of a proxy: export http://HOST:PORT")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
