"""The schema of `corpus` and `routing`."""

from dataclasses import dataclass, field
from enum import Enum

from er.config.checks import require, require_positive


@dataclass
class Corpus:
    """Prompts with topics, from a pinned package, a JSON Lines file or Hugging Face `datasets`."""

    name: str
    test_share: float
    per_file_at_most: int
    package: str = ""
    version: str = ""
    sha256: str = ""
    topics: dict[str, list[str]] = field(default_factory=dict)  # topic: files inside the package
    path: str = ""  # a file with a line {"text": ..., "label": ...} for each prompt; label optional
    dataset: str = ""
    subset: str = ""
    revision: str = "main"
    split: str = "train"
    text_column: str = "text"
    topic_column: str = ""

    def __post_init__(self) -> None:
        require(
            0 < self.test_share < 1,
            f"corpus.test_share is {self.test_share}: give a share between 0 and 1",
        )
        require_positive(self, "corpus", "per_file_at_most")
        require(
            sum(map(bool, (self.package, self.path, self.dataset))) == 1,
            f"corpus {self.name} needs one of corpus.package, corpus.path and corpus.dataset",
        )


class Policy(Enum):
    """What chooses the expert of a prompt."""

    kmeans = "kmeans"  # the trained router
    # Baselines for experiments, which do not look at the prompt:
    random = "random"
    round_robin = "round_robin"
    least_loaded = "least_loaded"  # the expert with the fewest requests in flight


@dataclass
class Routing:
    """How the expert of a prompt is chosen, and how the k-means router is trained."""

    name: str
    clusters: int  # one for each expert
    components: int  # dimensions that the truncated SVD keeps
    sublinear_tf: bool  # use 1 + ln(count) in place of a term's count
    min_df: int  # use terms that occur in at least this many prompts
    max_df: float  # and in at most this share of the prompts
    starts: int  # number of fits, of which the tightest is kept
    keep_prices: bool  # balance the load also at routing time, not only while fitting
    policy: Policy = Policy.kmeans  # the other policies ignore the settings above
    shares: list[float] = field(default_factory=list)  # policy=random: weights; empty: equal

    def __post_init__(self) -> None:
        require_positive(self, "routing", "clusters", "components", "min_df", "starts")
        require(
            0 < self.max_df <= 1,
            f"routing.max_df is {self.max_df}: give a share in (0, 1]",
        )
        require(
            not self.shares
            or (self.policy is Policy.random and min(self.shares) >= 0 < sum(self.shares)),
            f"routing.shares is {self.shares}: give weights of 0 or more, one above 0 at least, "
            "together with routing.policy=random",
        )
