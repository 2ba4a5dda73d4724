"""Requests made up for tests."""

from er.results.request import Request


def answered(index: int, concurrency: int, ttft_s: float = 0.1, **changes: object) -> Request:
    """A good request of three tokens, sent when the one before it has ended."""
    send_s = index * (ttft_s + 0.02)
    made = Request(
        concurrency=concurrency,
        user=0,
        index=index,
        warmup=False,
        topic="law",
        input_tokens=100,
        max_tokens=3,
        send_s=send_s,
        token_times_s=[send_s + ttft_s, send_s + ttft_s + 0.01, send_s + ttft_s + 0.02],
        end_s=send_s + ttft_s + 0.02,
        status=200,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made
