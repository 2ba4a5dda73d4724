"""Figures 4 to 7 as Vega-Lite charts with hover, and as tables for readers who do not see them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures.looks import Look, looks_of

HEIGHT = 300
INK = "currentColor"  # of the page: light or dark
SHAPES = {"o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down"}
CONFIG = {
    "background": "transparent",
    "font": "inherit",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "domainColor": INK, "tickColor": INK,
        "gridColor": INK, "gridOpacity": 0.12, "labelFontSize": 12, "titleFontSize": 12,
    },
    "legend": {
        "labelColor": INK, "titleColor": INK, "orient": "bottom", "columns": 1, "labelLimit": 0,
        "symbolOpacity": 1, "labelFontSize": 12, "symbolSize": 80,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """One figure of the report."""

    id: str
    title: str
    unit: str
    rows: list[dict[str, Any]]
    spec: dict[str, Any]


@dataclass(frozen=True)
class _Quantity:
    id: str
    title: str
    unit: str
    value: Callable[[PublishedRun, Point], float]
    interval: Callable[[Point], tuple[float, float]] | None


def _latency(id_: str, title: str, name: str, unit: str, unit_s: float) -> _Quantity:
    def of(point: Point) -> Summary:
        summary: Summary = getattr(point, name)
        return summary

    return _Quantity(
        id_, title, unit,
        lambda _, point: of(point).p50 / unit_s,
        lambda point: (of(point).p50_low / unit_s, of(point).p50_high / unit_s),
    )  # fmt: skip


QUANTITIES = (
    _latency("fig4", "Figure 4: time to first token, median", "ttft_s", "ms", 1e-3),
    _latency("fig5", "Figure 5: time per output token, median", "tpot_s", "ms", 1e-3),
    _Quantity(
        "fig6", "Figure 6 [inferred]: throughput", "tokens/s",
        lambda _, point: point.tokens_per_s, None,
    ),
    _Quantity(
        "fig6-per-gpu", "Figure 6 [inferred]: throughput of each GPU", "tokens/s per GPU",
        lambda run, point: point.tokens_per_s / run.gpus, None,
    ),
    _latency("fig7", "Figure 7 [inferred]: response time, median", "e2e_s", "s", 1),
)  # fmt: skip


def charts(runs: Sequence[PublishedRun]) -> list[Chart]:
    """A chart for each quantity."""
    looks = looks_of(runs)
    return [_chart(quantity, runs, looks) for quantity in QUANTITIES]


def _chart(quantity: _Quantity, runs: Sequence[PublishedRun], looks: Sequence[Look]) -> Chart:
    rows = [
        _row(quantity, run, point, look)
        for run, look in zip(runs, looks, strict=True)
        for point in run.points
    ]
    predicted = [
        {
            "run": look.label,
            "concurrency": point.concurrency,
            "value": _number(quantity.value(run, point)),
        }
        for run, look in zip(runs, looks, strict=True)
        for point in run.predicted
    ]
    return Chart(
        quantity.id, quantity.title, quantity.unit, rows, _spec(quantity, rows, predicted, looks)
    )


def _row(quantity: _Quantity, run: PublishedRun, point: Point, look: Look) -> dict[str, Any]:
    low, high = quantity.interval(point) if quantity.interval else (math.nan, math.nan)
    known = not math.isnan(low)
    return {
        "run": look.label,
        "concurrency": point.concurrency,
        "value": _number(quantity.value(run, point)),
        "low": low if known else None,
        "high": high if known else None,
        "interval": f"{low:.4g} to {high:.4g}" if known else "none",
        "requests": point.requests,
        "valid": "invalid" if point.invalid else "valid",
        "why": "; ".join(point.invalid) or "valid",
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _spec(
    quantity: _Quantity,
    rows: Sequence[dict[str, Any]],
    predicted: Sequence[dict[str, Any]],
    looks: Sequence[Look],
) -> dict[str, Any]:
    labels = [look.label for look in looks]
    concurrency = {
        "field": "concurrency",
        "type": "quantitative",
        "title": "Concurrency [users in flight]",
        "scale": {"type": "log", "base": 2, "nice": False},
        "axis": {"values": sorted({row["concurrency"] for row in rows}), "labelOverlap": True},
    }
    value = {
        "field": "value",
        "type": "quantitative",
        "title": quantity.unit,
        "scale": {"type": "log", "nice": False, "padding": 12},
        "axis": {"format": "~s" if quantity.unit.startswith("tokens") else ",~r"},
    }
    colour = {
        "field": "run",
        "scale": {"domain": labels, "range": [look.colour for look in looks]},
        "title": None,
    }
    shape = {
        "field": "run",
        "scale": {
            "domain": labels,
            "range": [SHAPES.get(look.marker, "cross") for look in looks],
        },
        "title": None,
    }
    dash = {
        "field": "run",
        "scale": {"domain": labels, "range": [list(look.dashes) or [1, 0] for look in looks]},
        "title": None,
    }
    tooltip = [
        {"field": "run", "title": "deployment"},
        {"field": "concurrency"},
        {"field": "value", "title": quantity.unit, "format": ",.4~r"},
        {"field": "interval", "title": "95% interval"},
        {"field": "requests"},
        {"field": "why", "title": "validity"},
    ]
    valid = {"filter": "datum.valid == 'valid'"}
    line = {"x": concurrency, "y": value, "color": colour, "strokeDash": dash}
    layers: list[dict[str, Any]] = [
        {
            "transform": [valid, {"filter": "isValid(datum.low)"}],
            "mark": {"type": "area", "opacity": 0.18, "aria": False},
            "encoding": {
                "x": concurrency, "color": colour,
                "y": {**value, "field": "low"}, "y2": {"field": "high"},
            },
        },
        {
            "data": {"values": list(predicted)},
            "mark": {"type": "line", "strokeWidth": 0.8, "opacity": 0.8, "aria": False},
            "encoding": line,
        },
        {"transform": [valid], "mark": {"type": "line", "aria": False}, "encoding": line},
        {
            "mark": {"type": "point", "size": 50, "strokeWidth": 1.5, "opacity": 1},
            "encoding": {
                "x": concurrency, "y": value, "color": colour, "shape": shape, "tooltip": tooltip,
                "fill": {"condition": {"test": "datum.valid == 'valid'", **colour},
                         "value": "transparent"},
            },
        },
    ]  # fmt: skip
    band, thin, *others = layers
    shown = [*([band] if quantity.interval else []), *([thin] if predicted else []), *others]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{quantity.title}, in {quantity.unit}, over concurrency",
        "width": "container",
        "height": HEIGHT,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": list(rows)},
        "layer": shown,
        "config": CONFIG,
    }
