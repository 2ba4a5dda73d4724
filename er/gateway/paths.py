"""Where the gateway answers: Triton's paths, so that clients need not know that it is there."""

GENERATE_PATH = "/v2/models/ensemble/generate_stream"
READY_PATH = "/v2/health/ready"
METRICS_PATH = "/metrics"
MODEL = "ensemble"  # what the gateway calls itself where a model has a name


def in_url(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
