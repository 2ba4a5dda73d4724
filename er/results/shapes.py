"""Check the JSON files of a run directory when they are read."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING as REQUIRED
from dataclasses import fields
from datetime import datetime
from pathlib import PurePath
from typing import Any, NoReturn, get_origin

from er.errors import ErError
from er.results import names
from er.results.point import Point, Summary
from er.results.words import count_of

Holds = Callable[[Any], bool]
SHOWN = 40  # characters of a bad value in a message


class DamagedError(ValueError):
    """What is wrong with a value, in a few words."""


class Section(dict[str, Any]):
    """A JSON object of a file. Looking up a missing key raises the error that `error` makes."""

    error: Callable[[str], ErError]

    def __missing__(self, key: str) -> NoReturn:
        raise self.error(f"it has no {key}")


def parse(name: str, text: str, error: Callable[[str], ErError]) -> Any:
    """The content of the file `name` of a run, from its text.

    Raises the error that `error` makes of a few words when no run of er has such a file.
    """

    def section(values: dict[str, Any]) -> Section:
        found = Section(values)
        found.error = error
        return found

    try:
        value = json.loads(text, object_hook=section)
        check(PurePath(name).name, value)
    except DamagedError as damaged:
        raise error(str(damaged)) from damaged
    except (ValueError, RecursionError) as damaged:
        raise error("it is not JSON") from damaged
    return value


def check(name: str, value: object) -> None:
    """Raise DamagedError unless the value is valid for a file of this name."""
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise DamagedError("it is not a list of objects")
        if name in POINTS:
            check_points(value)
        return
    if name in VALUES and not isinstance(value, dict):
        raise DamagedError("it is not an object")
    for path, (holds, words) in VALUES.get(name, {}).items():
        for found in _at(value, path.split(".")):
            if not holds(found):
                raise DamagedError(f"{path} is {_short(found)}, not {words}")


def check_points(entries: list[dict[str, Any]]) -> None:
    """Raise DamagedError unless each entry is a point, and their concurrencies differ."""
    known: set[int] = set()
    for entry in entries:
        users = entry.get("concurrency")
        if not isinstance(users, int) or not is_count(users):
            raise DamagedError(f"concurrency is {_short(users)}, not a number of users")
        where = f"of {count_of(users, 'user')}"
        if users in known:
            raise DamagedError(f"two points are {where}")
        known.add(users)
        _check_fields(entry, Point, where)


def _check_fields(entry: dict[str, Any], kind: type[Point | Summary], where: str) -> None:
    for name in {*entry} - {field.name for field in fields(kind)}:
        raise DamagedError(f"{name} {where} is unknown")
    for field in fields(kind):
        if field.name not in entry:
            if field.default is REQUIRED and field.default_factory is REQUIRED:
                raise DamagedError(f"{field.name} {where} is missing")
            continue
        value = entry[field.name]
        if field.type is Summary:
            if not isinstance(value, dict):
                raise DamagedError(f"{field.name} {where} is {_short(value)}, no summary")
            _check_fields(value, Summary, f"of {field.name} {where}")
        elif not _fits(field.type, value, signed=field.name in SIGNED or "intended" in where):
            raise DamagedError(f"{field.name} {where} is {_short(value)}")


def _fits(kind: object, value: Any, *, signed: bool) -> bool:
    """Whether a JSON value is valid for a point's field of this type; null is a missing number."""
    if kind is int:
        return is_integer(value) and value >= 0
    if kind is float:
        return value is None or (is_number(value) and (signed or value >= 0))
    if get_origin(kind) is list:
        return isinstance(value, list)
    return isinstance(value, dict)


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """The value at a path of keys, if there is one.

    Raises DamagedError when a value on the way is not a section.
    """
    for place, key in enumerate(path):
        if not isinstance(value, dict):
            raise DamagedError(f"{'.'.join(path[:place])} is {_short(value)}, no section")
        if key not in value:
            return
        value = value[key]
    yield value


def _short(value: object) -> str:
    """A value as JSON, cut to SHOWN characters."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value: object) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Whether a value is a whole number of 1 or more."""
    return is_integer(value) and isinstance(value, int) and value >= 1


def is_text(value: object) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_moment(value: object) -> bool:
    """Whether a value is a date and time in ISO 8601."""
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def are(holds: Holds) -> Holds:
    """A check for a list whose items all pass the check `holds`."""
    return lambda value: isinstance(value, list) and all(map(holds, value))


def is_object(value: object) -> bool:
    """Whether a value is a JSON object."""
    return isinstance(value, dict)


def _has_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


SIGNED = {"token_lateness_p50", "window_from_s"}
POINTS = {names.POINTS, names.PREDICTED}
LISTS = {*POINTS, names.ENDPOINTS}
TEXT = (is_text, "a text")
COUNT = (is_count, "a number of 1 or more")
NUMBER = (lambda value: value is None or is_number(value), "a number")
OBJECT = (is_object, "a section")
MOMENT = (is_moment, "a date and time")
# The values that commands read, by file and path; a value that is missing is not checked here.
VALUES: dict[str, dict[str, tuple[Holds, str]]] = {
    names.RECORD: {
        "key": TEXT, "status": TEXT, "study": TEXT, "taken_from": TEXT,
        "started": MOMENT, "ended": MOMENT, "tags": (_has_texts, "tags"),
    },
    names.CONFIG: {
        "study": TEXT, "runs_dir": TEXT, "seed": (is_integer, "a whole number"),
        "figures": (are(is_text), "a list of names"),
        "deployment": OBJECT, "deployment.id": TEXT, "deployment.precision": TEXT,
        "deployment.model.name": TEXT, "deployment.tp": COUNT, "deployment.experts": COUNT,
        "clock.kind": TEXT, "engine.kind": TEXT, "hardware.name": TEXT, "tracking.uri": TEXT,
        "routing.policy": TEXT, "routing.shares": (are(is_number), "a list of numbers"),
        "gateway": OBJECT, "target.url": TEXT, "target.model": TEXT,
        "workload.name": TEXT, "workload.description": TEXT, "corpus.name": TEXT,
        "load.concurrency": (are(is_count), "a list of numbers of users"),
        "load.think_time_s": NUMBER,
    },
    names.PROVENANCE: {
        "command": (are(lambda value: isinstance(value, str)), "a list of texts"),
        "gpus": (are(is_text), "a list of texts"), "nodes": (are(is_text), "a list of texts"),
        "packages": OBJECT, "git_commit": (lambda value: isinstance(value, str), "a text"),
    },
    names.KNEE: {"max_concurrency": (is_integer, "a number of users")},
    names.GATEWAY_COST: {"ttft_difference_p50_s": NUMBER},
    names.STEP_TIMES: {"about": TEXT},
    names.CAPACITY: {}, names.ENGINE: {}, names.ROUTER_MAP: {},
}  # fmt: skip
