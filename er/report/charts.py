"""Figures 4 to 7 as Vega-Lite charts with hover, and as tables for readers who do not see them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from er.results import labels
from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures.curves import has_bounds, shifts
from paper_figures.quantities import read_bounds
from paper_figures.repeats import Group, groups_of, hidden_by_medians, means

HEIGHT = 300
INK = "currentColor"  # of the page: light or dark
# Of each marker of a figure: one of Vega's, or a path within -1 and 1.
SHAPES = {
    "o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down",
    "P": "cross", "<": "triangle-left", ">": "triangle-right",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "p": "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z",
    "h": "M0,-1L.87,-.5L.87,.5L0,1L-.87,.5L-.87,-.5Z",
}  # fmt: skip
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
    bands: list[dict[str, Any]]  # between what predicted points may lie
    spec: dict[str, Any]
    hidden: str  # what its medians hide, as a sentence; empty: nothing

    @property
    def has_tail(self) -> bool:
        """Whether rows have a mean and a 95th percentile beside their median."""
        return any(row["p95"] is not None for row in self.rows)

    @property
    def repeated(self) -> bool:
        """Whether a row is the mean of several seeds."""
        return any(row["least"] is not None for row in self.rows)

    @property
    def predicted(self) -> bool:
        """Whether points of a row were predicted, and say between what they may lie."""
        return any(row["may_be"] for row in self.rows)


@dataclass(frozen=True)
class _Quantity:
    id: str
    title: str
    unit: str
    value: Callable[[PublishedRun, Point], float]
    interval: Callable[[Point], tuple[float, float]] | None
    bounds: Callable[[PublishedRun, Point], tuple[float, float]]  # of a prediction
    tail: Callable[[Point], tuple[float, float]] | None = None  # mean and 95th percentile
    column: str = ""  # of a latency


def _latency(id_: str, title: str, name: str, unit: str, unit_s: float) -> _Quantity:
    def of(point: Point) -> Summary:
        summary: Summary = getattr(point, name)
        return summary

    return _Quantity(
        id_, title, unit,
        lambda _, point: of(point).p50 / unit_s,
        lambda point: (of(point).p50_low / unit_s, of(point).p50_high / unit_s),
        read_bounds(f"{name}.p50", lambda _: unit_s),
        lambda point: (of(point).mean / unit_s, of(point).p95 / unit_s),
        name,
    )  # fmt: skip


QUANTITIES = (
    _latency("fig4", "Figure 4: time to first token, median", "ttft_s", "ms", 1e-3),
    _latency("fig5", "Figure 5: time per output token, median", "tpot_s", "ms", 1e-3),
    _Quantity(
        "fig6", "Figure 6 [inferred]: throughput", "tokens/s",
        lambda _, point: point.tokens_per_s, None, read_bounds("tokens_per_s", lambda _: 1.0),
    ),
    _Quantity(
        "fig6-per-gpu", "Figure 6 [inferred]: throughput of each GPU", "tokens/s per GPU",
        lambda run, point: point.tokens_per_s / run.gpus, None,
        read_bounds("tokens_per_s", lambda run: run.gpus),
    ),
    _latency("fig7", "Figure 7 [inferred]: response time, median", "e2e_s", "s", 1),
)  # fmt: skip


def charts(runs: Sequence[PublishedRun]) -> list[Chart]:
    """A chart for each quantity."""
    groups = groups_of(runs)
    return [_chart(quantity, groups) for quantity in QUANTITIES]


def _chart(quantity: _Quantity, groups: Sequence[Group]) -> Chart:
    steps = sorted({point.concurrency for group in groups for _, point in group.points()})
    placed = list(zip(groups, shifts(len(groups), steps), strict=True))
    rows = [row for group, shift in placed for row in _rows(quantity, group, shift)]
    predicted = [
        {"run": group.label, "at": concurrency * shift, "value": _number(value)}
        for group, shift in placed
        for concurrency, value in zip(*means(group.predicted(), quantity.value), strict=True)
    ]
    bands = [row for group, shift in placed for row in _bands(quantity, group, shift)]
    spec = _spec(quantity, rows, predicted, bands, groups)
    hidden = hidden_by_medians(groups, quantity.column) if quantity.column else ""
    return Chart(quantity.id, quantity.title, quantity.unit, rows, bands, spec, hidden)


def _bands(quantity: _Quantity, group: Group, shift: float) -> Iterator[dict[str, Any]]:
    """Between what the predicted points may lie, those behind measured ones too."""
    for points in (group.points, group.predicted):
        found = [(run, point) for run, point in points() if has_bounds(point)]
        concurrencies, lows = means(iter(found), lambda run, point: quantity.bounds(run, point)[0])
        _, highs = means(iter(found), lambda run, point: quantity.bounds(run, point)[1])
        for concurrency, low, high in zip(concurrencies, lows, highs, strict=True):
            if not math.isnan(low):
                yield {"run": group.label, "at": concurrency * shift, "low": low, "high": high}


def _rows(quantity: _Quantity, group: Group, shift: float) -> Iterator[dict[str, Any]]:
    """One for each concurrency, the mean over repeats; and one for each invalid point. They are
    `at` their concurrency times `shift`, so that none hides another."""
    for concurrency in group.ladder:
        found = [(run, point) for run, point in group.valid() if point.concurrency == concurrency]
        yield _row(quantity, group, found, concurrency, shift)
    for run, point in group.points():
        if point.invalid:
            yield _row(quantity, group, [(run, point)], point.concurrency, shift)


def _row(
    quantity: _Quantity,
    group: Group,
    found: Sequence[tuple[PublishedRun, Point]],
    concurrency: int,
    shift: float,
) -> dict[str, Any]:
    values = [quantity.value(run, point) for run, point in found]
    ends = [quantity.interval(point) for _, point in found] if quantity.interval else []
    low, high = _mean([low for low, _ in ends]), _mean([high for _, high in ends])
    known = not math.isnan(low)
    least, greatest = min(values), max(values)
    may_be = [_mean(ends) for ends in zip(*(quantity.bounds(*of) for of in found), strict=True)]
    upper = [quantity.tail(point) for _, point in found] if quantity.tail else []
    why = "; ".join(reason for _, point in found for reason in point.invalid)
    notes = "; ".join(dict.fromkeys(note for _, point in found for note in point.notes))
    users = labels.count_users(concurrency)
    return {
        "run": group.label,
        "described": f"{group.label}, {users}: {_mean(values):.4g} {quantity.unit}, "
        + ("invalid" if why else "valid"),
        "concurrency": concurrency,
        "at": concurrency * shift,
        "value": _number(_mean(values)),
        "mean": _number(_mean([mean for mean, _ in upper])),
        "p95": _number(_mean([p95 for _, p95 in upper])),
        "low": low if known else None,
        "high": high if known else None,
        "interval": f"{low:.4g} to {high:.4g}" if known else "none",
        "may_be": "" if math.isnan(may_be[0]) else f"{may_be[0]:.4g} to {may_be[1]:.4g}",
        "least": _number(least) if len(values) > 1 else None,
        "greatest": _number(greatest) if len(values) > 1 else None,
        "seeds": f"{least:.4g} to {greatest:.4g}, {len(values)} seeds" if len(values) > 1 else "1",
        "requests": sum(point.requests for _, point in found),
        "valid": "invalid" if why else "valid",
        "why": "; ".join(filter(None, [why or "valid", notes])),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _spec(
    quantity: _Quantity,
    rows: Sequence[dict[str, Any]],
    predicted: Sequence[dict[str, Any]],
    bands: Sequence[dict[str, Any]],
    groups: Sequence[Group],
) -> dict[str, Any]:
    named, looks = [group.label for group in groups], [group.look for group in groups]
    repeated = any(group.repeated for group in groups)
    concurrency = {
        "field": "at",
        "type": "quantitative",
        "title": "Concurrency [users in flight]",
        "scale": {"type": "log", "base": 2, "nice": False, "padding": 8},
        "axis": {
            "values": sorted({row["concurrency"] for row in rows}),
            "labelExpr": "datum.value < 1000 ? datum.value : datum.value / 1000 + 'k'",
            "labelOverlap": True,
        },
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
        "scale": {"domain": named, "range": [look.colour for look in looks]},
        "title": None,
    }
    shape = {
        "field": "run",
        "scale": {
            "domain": named,
            "range": [SHAPES[look.marker] for look in looks],
        },
        "title": None,
    }
    dash = {
        "field": "run",
        "scale": {"domain": named, "range": [list(look.dashes) or [1, 0] for look in looks]},
        "title": None,
    }
    tooltip = [
        {"field": "run", "title": "deployment"},
        {"field": "concurrency"},
        {"field": "value", "title": quantity.unit, "format": ",.4~r"},
        *(
            [
                {"field": "mean", "title": "mean", "format": ",.4~r"},
                {"field": "p95", "title": "95th percentile", "format": ",.4~r"},
            ]
            if quantity.tail
            else []
        ),
        {"field": "interval", "title": "95% interval"},
        *(
            [{"field": "may_be", "title": "prediction may be"}]
            if any(row["may_be"] for row in rows)
            else []
        ),
        *([{"field": "seeds", "title": "over seeds"}] if repeated else []),
        {"field": "requests"},
        {"field": "why", "title": "validity"},
    ]
    valid = {"filter": "datum.valid == 'valid'"}
    line = {"x": concurrency, "y": value, "color": colour, "strokeDash": dash}
    layers: list[dict[str, Any]] = [
        {
            "transform": [valid, {"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.4, "aria": False},
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
        {
            "transform": [valid, {"filter": "isValid(datum.least)"}],
            "mark": {"type": "rule", "aria": False},
            "encoding": {
                "x": concurrency, "color": colour,
                "y": {**value, "field": "least"}, "y2": {"field": "greatest"},
            },
        },
        {"transform": [valid], "mark": {"type": "line", "aria": False}, "encoding": line},
        {
            "mark": {"type": "point", "strokeWidth": 1.5, "opacity": 1},
            "encoding": {
                "x": concurrency, "y": value, "color": colour, "shape": shape, "tooltip": tooltip,
                "description": {"field": "described"},
                "size": {"condition": {"test": "datum.valid == 'valid'", "value": 40},
                         "value": 120},
                "fill": {"condition": {"test": "datum.valid == 'valid'", **colour},
                         "value": "transparent"},
            },
        },
    ]  # fmt: skip
    may_be = {
        "data": {"values": list(bands)},
        "mark": {"type": "rule", "strokeWidth": 1, "aria": False},
        "encoding": {
            "x": concurrency, "color": colour,
            "y": {**value, "field": "low"}, "y2": {"field": "high"},
        },
    }  # fmt: skip
    interval, thin, rule, *others = layers
    tail = {
        "transform": [valid, {"filter": "isValid(datum.p95)"}],
        "mark": {
            "type": "line", "strokeWidth": 0.8, "opacity": 0.5, "aria": False,
            "point": {"size": 12, "filled": False, "opacity": 0.5, "aria": False},
        },
        "encoding": {**line, "y": {**value, "field": "p95"}},
    }  # fmt: skip
    shown = [
        *([may_be] if bands else []),
        *([interval] if quantity.interval else []),
        *([thin] if predicted else []),
        *([rule] if repeated else []),
        *([tail] if quantity.tail else []),
        *others,
    ]
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
