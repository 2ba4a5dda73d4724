"""The schema of `workload`: what users send, one class for each kind."""

from dataclasses import dataclass, field
from pathlib import Path

from er.config.checks import require, require_positive

TOKENS_AT_MOST = 10_000_000  # of a prompt or an answer: more than any model's context


@dataclass
class Table:
    """Token counts of a quantile table, scaled, then clipped."""

    percentiles: list[float]
    tokens: list[float]
    scale: float
    at_least: int
    at_most: int

    def __post_init__(self) -> None:
        place = "workload lengths"
        require(
            len(self.percentiles) == len(self.tokens) >= 2,
            f"{place}: percentiles and tokens must be two lists of one length, at least 2 long",
        )
        require(
            self.percentiles[0] == 0
            and self.percentiles[-1] == 100
            and self.percentiles == sorted(set(self.percentiles)),
            f"{place}: percentiles must rise from 0 to 100",
        )
        require(
            self.tokens == sorted(self.tokens) and self.tokens[0] > 0,
            f"{place}: tokens must be above 0 and must not fall",
        )
        require(
            0 < self.scale < float("inf"),
            f"{place}: scale is {self.scale}: give a value above 0",
        )
        _require_range(self.at_least, self.at_most)


@dataclass
class Range:
    """Whole numbers from `at_least` to `at_most`, both included, all equally likely."""

    at_least: int
    at_most: int

    def __post_init__(self) -> None:
        _require_range(self.at_least, self.at_most)


@dataclass
class Lognormal:
    """Token counts whose logarithms are normal, clipped."""

    median: float
    sigma: float  # standard deviation of the natural logarithm
    at_least: int
    at_most: int

    def __post_init__(self) -> None:
        require_positive(self, "workload lengths", "median", "sigma")
        require(
            max(self.median, self.sigma) < float("inf"),
            f"workload lengths: median is {self.median}, sigma is {self.sigma}: give numbers",
        )
        _require_range(self.at_least, self.at_most)


Lengths = Table | Range | Lognormal


@dataclass
class Workload:
    """Settings of every kind of workload."""

    kind: str
    name: str
    description: str
    tokenizer: str
    # Whether the model may end an answer before it has the requested tokens.
    stop_at_eos: bool = field(default=False, kw_only=True)


@dataclass
class TableWorkload(Workload):
    """Prompts and answers whose token counts follow quantile tables."""

    input: Table
    output: Table

    def __post_init__(self) -> None:
        _require_kind(self, "table")


@dataclass
class FixedWorkload(Workload):
    """Prompts and answers of one length each."""

    input_tokens: int
    output_tokens: int

    def __post_init__(self) -> None:
        _require_kind(self, "fixed")
        require_positive(self, "workload", "input_tokens", "output_tokens")
        _require_range(self.input_tokens, self.input_tokens)
        _require_range(self.output_tokens, self.output_tokens)


@dataclass
class UniformWorkload(Workload):
    """Prompts and answers whose token counts are equally likely within a range."""

    input: Range
    output: Range

    def __post_init__(self) -> None:
        _require_kind(self, "uniform")


@dataclass
class LognormalWorkload(Workload):
    """Prompts and answers whose token counts are log-normal: with a long tail."""

    input: Lognormal
    output: Lognormal

    def __post_init__(self) -> None:
        _require_kind(self, "lognormal")


@dataclass
class JsonlWorkload(Workload):
    """Prompts of a file, with a line {"text": ..., "max_tokens": ..., "label": ...} for each.

    `max_tokens` and `label` are optional; er.load.prompt_files lists other formats.
    """

    path: str
    output_tokens: int  # of lines without max_tokens

    def __post_init__(self) -> None:
        _require_kind(self, "jsonl")
        require_positive(self, "workload", "output_tokens")
        require(
            Path(self.path).is_file(),
            f"workload.path is {self.path or 'empty'}: give a JSON Lines file of prompts",
        )


@dataclass
class SharedPrefixWorkload(Workload):
    """Prompts with the same beginning as others of their group, such as a system prompt."""

    groups: int
    prefix_tokens: int
    suffix: Range  # tokens after the shared beginning
    output: Range

    def __post_init__(self) -> None:
        _require_kind(self, "shared_prefix")
        require_positive(self, "workload", "groups", "prefix_tokens")
        _require_range(self.prefix_tokens, self.prefix_tokens)


@dataclass
class MultiTurnWorkload(Workload):
    """Conversations: each prompt holds the messages and answers before it.

    The answers in a prompt are composed in advance, with the requested length: the model's real
    answers do not change what is sent, so that a run can be repeated.
    """

    turns: Range
    message: Range  # tokens that the user adds in each turn
    output: Range
    context_at_most: int  # prompt and answer; a conversation ends before it would grow beyond

    def __post_init__(self) -> None:
        _require_kind(self, "multi_turn")
        first = self.message.at_most + self.output.at_most
        require(
            first <= self.context_at_most,
            f"workload.context_at_most is {self.context_at_most}: the longest first turn has "
            f"{first} tokens (message.at_most and output.at_most), so give at least that",
        )


def _require_kind(workload: Workload, kind: str) -> None:
    """Raise ConfigError unless the workload has the kind of its class."""
    require(
        workload.kind == kind,
        f"workload.kind is {workload.kind}: choose a workload with workload=...",
    )


def _require_range(at_least: int, at_most: int) -> None:
    """Raise ConfigError unless these are bounds of a number of tokens."""
    require(
        1 <= at_least <= at_most,
        f"workload lengths: at_least is {at_least}, at_most is {at_most}: "
        "need 1 <= at_least <= at_most",
    )
    require(
        at_most <= TOKENS_AT_MOST,
        f"workload lengths: {at_most:,} tokens: give {TOKENS_AT_MOST:,} at most",
    )
