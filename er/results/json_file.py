"""Measured numbers in JSON files: a missing value is null in the file and NaN in memory."""

import json
import math
from dataclasses import fields
from typing import Any

from er.results.point import Point, Summary
from er.results.quantiles import MISSING


def text_of(value: Any) -> str:
    """`value` as the text of a JSON file, with null for NaN and infinite numbers."""
    return json.dumps(_nan_to_null(value), indent=2, allow_nan=False) + "\n"


def null_to_nan(value: Any) -> Any:
    """A value of a JSON file, with NaN for null."""
    if isinstance(value, dict):
        return {name: _number(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_number(item) for item in value]
    return _number(value)


def point_of(entry: dict[str, Any]) -> Point:
    """The point that a JSON entry of points.json or predicted.json holds."""
    entry = null_to_nan(entry)
    names = [field.name for field in fields(Point) if field.type is Summary and field.name in entry]
    summaries = {name: Summary(**entry[name]) for name in names}
    return Point(**{**entry, **summaries})


def _number(value: Any) -> Any:
    if value is None:
        return MISSING
    return null_to_nan(value) if isinstance(value, dict | list) else value


def _nan_to_null(value: Any) -> Any:
    """`value` with None for numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _nan_to_null(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
