"""Describe a trace or a file of prompts, in lines of text and in numbers for a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from er.load import prompt_files
from er.load.trace import Arrival, Trace, read
from er.load.trace_kinds import Source
from er.results.request import Prompt
from er.results.words import count_of

BINS = 100  # of the span of a trace


def describe(source: Source) -> list[str]:
    """Lines that describe a trace, with its unused columns. Raises ErError as `read`."""
    trace = read(source)
    arrivals = trace.arrivals
    span_s = arrivals[-1].time_s
    rate = f", {len(arrivals) / span_s:.3g} requests/s" if span_s else ""
    rows = count_of(len(arrivals), "row")
    lines = [f"{source.path}: {trace.kind} trace, {rows} over {span_s:.6g} s{rate}"]
    if arrivals[0].input_tokens:
        inputs = sorted(arrival.input_tokens for arrival in arrivals)
        outputs = sorted(arrival.output_tokens for arrival in arrivals)
        lines += [_lengths("input", inputs), _lengths("output", outputs)]
    if trace.block_tokens and arrivals[0].blocks:
        blocks = [block for arrival in arrivals for block in arrival.blocks]
        again = 1 - len(set(blocks)) / len(blocks)
        lines.append(
            f"prompts share their beginnings in blocks of {trace.block_tokens} tokens: {again:.1%} "
            "of the blocks were there before"
        )
    if trace.without_tokens:
        lines.append(f"{count_of(trace.without_tokens, 'row')} without tokens left out")
    return lines + unused_columns(trace.unused)


def describe_prompts(path: Path, prompts: Sequence[Prompt]) -> list[str]:
    """Lines that describe the prompts of a file, and its unused columns. Raises as `rows`."""
    later = sum(prompt.turn > 0 for prompt in prompts)
    turns = f", {count_of(later, 'later turn')} of conversations" if later else ""
    return [
        f"{path}: {count_of(len(prompts), 'prompt')}{turns}",
        _lengths("input", sorted(prompt.input_tokens for prompt in prompts)),
        _lengths("output", sorted(prompt.output_tokens for prompt in prompts)),
        *unused_columns(prompt_files.unused(path)),
    ]


def shape_of(trace: Trace) -> dict[str, Any]:
    """Numbers for a picture: requests/s in BINS parts of the span, 101 quantiles of lengths."""
    times_s = np.array([arrival.time_s for arrival in trace.arrivals])
    counts, edges_s = np.histogram(times_s, BINS, (0.0, float(times_s[-1]) or 1.0))
    shape: dict[str, Any] = {
        "title": f"{trace.kind} trace, {count_of(len(times_s), 'request')}",
        "edges_s": edges_s.tolist(),
        "requests_per_s": (counts / np.diff(edges_s)).tolist(),
    }
    return shape | (_quantiles(trace.arrivals) if trace.arrivals[0].input_tokens else {})


def shape_of_prompts(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Numbers for a picture of prompts: 101 quantiles of their lengths."""
    return {"title": count_of(len(prompts), "prompt")} | _quantiles(prompts)


def _quantiles(requests: Sequence[Arrival] | Sequence[Prompt]) -> dict[str, list[float]]:
    """101 quantiles of the token counts of prompts and answers."""
    shape = {}
    for name in ("input_tokens", "output_tokens"):
        tokens = [getattr(request, name) for request in requests]
        shape[name] = np.percentile(tokens, range(101), method="inverted_cdf").tolist()
    return shape


def unused_columns(names: Sequence[str]) -> list[str]:
    """A line that names the unused columns of a file; empty when all are used."""
    return [f"columns that are not used: {', '.join(names)}"] if names else []


def _lengths(name: str, ordered: list[int]) -> str:
    """Five quantiles of token counts."""
    last = len(ordered) - 1
    values = [ordered[round(share * last)] for share in (0, 0.25, 0.5, 0.95, 1)]
    mean = sum(ordered) / len(ordered)
    low, p25, p50, p95, high = values
    return (
        f"{name} tokens: mean {mean:.4g}; min {low}, p25 {p25}, median {p50}, p95 {p95}, max {high}"
    )
