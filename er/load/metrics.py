"""Read the metrics of a server, in the text format of Prometheus."""

import urllib.request

TIMEOUT_S = 2.0


def read_metrics(url: str) -> str | None:
    """The text that a server's metrics address gives now; None when it gives none."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            return str(response.read().decode())
    except (OSError, ValueError):
        return None
