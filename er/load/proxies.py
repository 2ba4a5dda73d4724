"""The proxy before a server, as the environment has it: http_proxy, https_proxy, no_proxy."""

import ipaddress
import os
from urllib.parse import urlsplit


def proxy_for(url: str) -> str:
    """The proxy that `url` is reached through; empty for none. This machine is reached directly."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # here: it takes megabytes

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    bypassed = proxy_bypass(parts.netloc.rpartition("@")[2])
    return "" if bypassed or _is_loopback(host) else proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
