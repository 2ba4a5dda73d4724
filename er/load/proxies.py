"""The proxy before a server, as the environment has it: http_proxy, https_proxy, no_proxy."""

import ipaddress
import os
from urllib.parse import urlsplit

from er.errors import ConfigError


def proxy_for(url: str) -> str:
    """The proxy that `url` is reached through; empty for none. This machine is reached directly.

    Raises ConfigError for an address that is no proxy's.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # here: it takes megabytes

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    if not proxy or _is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    _check(proxy, f"{parts.scheme}_proxy")
    return proxy


def _check(proxy: str, variable: str) -> None:
    """It may hold a password, so it is not repeated."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"${variable} is no address of a proxy: export http://HOST:PORT")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
