"""Claims as experiments/NAME/claims.yaml states them."""

import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from er.config.checks import require
from er.config.load import CONCURRENCY_AT_MOST
from er.errors import ConfigError
from er.results.labels import count_users, deployment_name

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FILE = "claims.yaml"
QUANTITIES = {
    "ttft_s.p50": "median time to first token",
    "ttft_s.p95": "95th percentile of time to first token",
    "ttft_s.min": "minimum time to first token",
    "tpot_s.p50": "median time per output token",
    "tpot_s.p95": "95th percentile of time per output token",
    "e2e_s.p50": "median response time",
    "e2e_s.p95": "95th percentile of response time",
    "tokens_per_s": "throughput",
    "tokens_per_s_per_gpu": "throughput per GPU",
}
LABELS = ("paper", "inferred", "project")
FEWER = "fewer"  # users: the next smaller concurrency of the ladder


class Relation(Enum):
    """How a ratio of two values stands to `factor`."""

    below = "below"
    above = "above"
    within = "within"  # neither above it nor below one over it


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and the formula that stands for it.

    At every concurrency from `at[0]` to `at[1]`, for every pair of `of` and `than`: the ratio of
    their quantities is below, above or within `factor`. Without `than` the value itself is held
    against the factor. With `relative_to`, a quantity is divided by that of the same deployment at
    so many users, or at the next `fewer`.
    """

    id: str
    figure: str
    says: str  # the paper's sense, in our words
    label: str  # where the sentence comes from: paper, or inferred
    reading: str  # why this formula, and which of its values are the project's own
    quantity: str
    of: tuple[str, ...]
    is_: Relation
    than: tuple[str, ...]
    factor: float
    at: tuple[int, int]
    relative_to: int | str | None = None
    study: str = "ladder"  # whose runs decide it

    @property
    def deployments(self) -> tuple[str, ...]:
        """All that it is about, each once."""
        return tuple(dict.fromkeys([*self.of, *self.than]))

    @property
    def formula(self) -> str:
        """The formula in one line."""
        left = f"{self.quantity} of {_names(self.of)}"
        if self.relative_to:
            at = self.relative_to
            left += f" over that at {'fewer users' if at == FEWER else count_users(int(at))}"
        right = f"{self.factor:g}"
        if self.than:
            right += f" x {_names(self.than)}"
        sign = {"below": "<", "above": ">", "within": "within a factor of"}[self.is_.value]
        first, last = self.at
        where = count_users(last) if first == last else f"{first:,} to {count_users(last)}"
        return f"{left} {sign} {right}, at {where}"


def names(folder: Path = EXPERIMENTS) -> list[str]:
    """The experiments that state claims. Raises ConfigError where there are none."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))
    require(bool(found), f"{folder} has no NAME/{FILE}: claims are stated in a checkout of er")
    return found


def every(folder: Path = EXPERIMENTS) -> list[Claim]:
    """All claims, in order of their figures; none where no checkout states them."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))
    return [claim for name in found for claim in read(name, folder)]


def read(name: str, folder: Path = EXPERIMENTS) -> list[Claim]:
    """The claims of an experiment. Raises ConfigError for a file that does not state them."""
    path = folder / name / FILE
    if not path.exists() or path.parent.parent != folder:
        raise ConfigError(f"{name} states no claims: choose from {', '.join(names(folder))}")
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is no YAML: {reason}") from error
    entries = content.get("claims") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
        raise ConfigError(f"{path}: give claims: a list of entries (docs/claims.md)")
    try:
        claims = [_claim(name, entry) for entry in entries]
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    ids = [claim.id for claim in claims]
    for known in ids:
        require(ids.count(known) == 1, f"{path}: two claims are called {known}")
    return claims


def _claim(figure: str, entry: dict[str, Any]) -> Claim:
    """A claim from its entry. Raises ValueError for a value that it cannot have."""
    values = dict(entry)
    where = f"claim {entry.get('id', '?')}"
    known = {field.name.rstrip("_"): field for field in fields(Claim) if field.name != "figure"}
    for name in values:
        if name not in known:
            raise ValueError(f"{where} has {name}, which no claim has: {', '.join(known)}")
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise ValueError(f"{where} has no {name}")
    for name, allowed in RULES.items():
        if name in values and not allowed.holds(values[name]):
            raise ValueError(f"{where}: {name} is {values[name]}: {allowed.words}")
    values["is_"] = Relation(values.pop("is"))
    if values["is_"] is Relation.within and values["factor"] < 1:
        raise ValueError(f"{where}: factor is {values['factor']}: within needs 1 or more")
    values |= {name: tuple(values[name]) for name in ("at", "of", "than")}
    # A block of YAML has line ends, which would break the row of a table.
    values |= {name: " ".join(values[name].split()) for name in ("says", "reading")}
    claim = Claim(figure=figure, **values)
    _require_decidable(where, claim)
    return claim


def _require_decidable(where: str, claim: Claim) -> None:
    """Raise ValueError for a claim that no point could decide."""
    for name, deployments in (("of", claim.of), ("than", claim.than)):
        for each in deployments:
            if deployments.count(each) > 1:
                raise ValueError(f"{where}: {name} has {each} twice")
    for each in claim.of:
        if each in claim.than:
            raise ValueError(f"{where}: of and than both have {each}: its ratio is always 1")
    base, (_, last) = claim.relative_to, claim.at
    if isinstance(base, int) and base >= last:
        raise ValueError(
            f"{where}: relative_to is {base}, and at ends at {last}: give fewer users than that"
        )
    if base == FEWER and last == 1:
        raise ValueError(f"{where}: relative_to is {FEWER}, and there are none fewer than 1")


@dataclass(frozen=True)
class _Rule:
    holds: Callable[[Any], bool]
    words: str


def _is_entry(value: object) -> bool:
    return isinstance(value, dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_number(value) and isinstance(value, int) and 1 <= value <= CONCURRENCY_AT_MOST


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and _is_name(" ".join(value.split()))


def _are_users(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_count, value)):
        return False
    return bool(value[0] <= value[1])


RELATIONS = tuple(relation.value for relation in Relation)
TEXT = _Rule(_is_text, "give a text of printable characters")
NAME = _Rule(_is_name, "give a text of one line")
RULES = {
    "id": NAME,
    "says": TEXT,
    "reading": TEXT,
    "study": NAME,
    "label": _Rule(lambda value: value in LABELS, f"one of {', '.join(LABELS)}"),
    "quantity": _Rule(lambda value: value in tuple(QUANTITIES), f"one of {', '.join(QUANTITIES)}"),
    "of": _Rule(lambda value: _are_names(value) and value, "list deployments, such as [a, b]"),
    "than": _Rule(_are_names, "list deployments, such as [d]; [] for none"),
    "is": _Rule(lambda value: value in RELATIONS, f"one of {', '.join(RELATIONS)}"),
    "factor": _Rule(
        lambda value: _is_number(value) and 0 < value <= sys.float_info.max, "give a number above 0"
    ),
    "at": _Rule(_are_users, "give [FIRST, LAST] users"),
    "relative_to": _Rule(
        lambda value: value is None or value == FEWER or _is_count(value),
        f"give a number of users, or {FEWER}",
    ),
}


def name_of(deployment: str) -> str:
    """A row of Table I by its letter, such as A."""
    return deployment_name(deployment)


def _names(deployments: tuple[str, ...]) -> str:
    names = [name_of(deployment) for deployment in deployments]
    return names[0] if len(names) == 1 else "each of " + ", ".join(names)
