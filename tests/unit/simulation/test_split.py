"""The half of the published runs that a correction may be fitted on."""

import re
from importlib import resources

import pandas as pd
import pytest

from er.simulation.published import FIT, HELD_OUT, table
from er.simulation.split import balanced

ENGINE = ["hardware", "model", "tp"]
LENGTHS = ["input_tokens", "output_tokens"]
FILES = {
    "published_serving.csv": ([*ENGINE, *LENGTHS], ["requests_per_s"]),
    "published_offline.csv": (ENGINE, LENGTHS),
}


@pytest.mark.parametrize("file", FILES)
def test_the_split_is_what_the_seed_in_the_file_draws(file):
    first = (resources.files("er.simulation") / "data" / file).read_text().split("\n")[0]
    [seed] = re.findall(r"seed (\d+)", first)
    runs = table(file)
    row, column = (runs.groupby(names, sort=False).ngroup() for names in FILES[file])
    drawn = balanced(row.max() + 1, column.max() + 1, int(seed))
    assert [FIT if drawn[at] else HELD_OUT for at in zip(row, column, strict=True)] == [*runs.split]


@pytest.mark.parametrize("file", FILES)
def test_half_of_every_stratum_is_held_out(file):
    runs = table(file)
    for names in FILES[file]:
        shares = (runs.split == HELD_OUT).groupby([runs[name] for name in names]).mean()
        assert (shares == 0.5).all()


def test_another_seed_draws_another_table():
    assert pd.DataFrame(balanced(12, 6, 1) != balanced(12, 6, 2)).any(axis=None)
