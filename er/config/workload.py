"""The schema of `workload`: what users send."""

from dataclasses import dataclass

from er.config.checks import require


@dataclass
class Lengths:
    """A distribution of token counts: a quantile table, scaled, then clipped."""

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
        require(self.scale > 0, f"{place}: scale is {self.scale}: give a value above 0")
        require(
            1 <= self.at_least <= self.at_most,
            f"{place}: at_least is {self.at_least}, at_most is {self.at_most}: "
            "need 1 <= at_least <= at_most",
        )


@dataclass
class Workload:
    """What users send and how much they ask for."""

    name: str
    description: str
    tokenizer: str
    input: Lengths
    output: Lengths
