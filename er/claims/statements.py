"""Claims as experiments/NAME/claims.yaml states them."""

from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from er.config.checks import require
from er.errors import ConfigError
from er.results.labels import count_users

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FILE = "claims.yaml"
QUANTITIES = {
    "ttft_s.p50": "median time to first token",
    "ttft_s.min": "minimum time to first token",
    "tpot_s.p50": "median time per output token",
    "e2e_s.p50": "median response time",
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
    if not path.exists():
        raise ConfigError(f"{name} states no claims: choose from {', '.join(names(folder))}")
    try:
        entries = yaml.safe_load(path.read_text())["claims"]
        claims = [_claim(name, entry) for entry in entries]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} does not state claims: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    ids = [claim.id for claim in claims]
    for known in ids:
        require(ids.count(known) == 1, f"{path}: two claims are called {known}")
    return claims


def _claim(figure: str, entry: dict[str, Any]) -> Claim:
    """A claim from its entry. Raises ValueError for a value that it cannot have."""
    values = {"figure": figure, **entry}
    values["is_"] = values.pop("is")
    known = {field.name for field in fields(Claim)}
    for name in values:
        if name not in known:
            raise ValueError(f"claim {entry.get('id')} has {name}, which no claim has")
    if values["quantity"] not in QUANTITIES:
        choices = ", ".join(QUANTITIES)
        raise ValueError(f"claim {entry['id']}: quantity is {values['quantity']}: one of {choices}")
    if values["label"] not in LABELS:
        raise ValueError(f"claim {entry['id']}: label is {values['label']}: one of {LABELS}")
    first, last = values["at"]
    if not 1 <= first <= last:
        raise ValueError(f"claim {entry['id']}: at is {values['at']}: give [FIRST, LAST] users")
    if not values["factor"] > 0:
        raise ValueError(f"claim {entry['id']}: factor is {values['factor']}: give more than 0")
    values |= {"is_": Relation(values["is_"]), "at": (first, last)}
    values |= {name: tuple(values[name]) for name in ("of", "than")}
    return Claim(**values)


def _names(deployments: tuple[str, ...]) -> str:
    names = [name.upper() if len(name) == 1 else name for name in deployments]
    return names[0] if len(names) == 1 else "each of " + ", ".join(names)
