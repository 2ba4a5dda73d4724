"""Files of claims: what cannot be a claim is refused in one line."""

from pathlib import Path

import pytest

from er.claims import overview, statements
from er.claims.verdicts import UNDECIDED, decide
from er.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("quantity: ttft", "quantity is ttft: one of ttft_s.p50"),
        ("is: over", "is is over: one of below, above, within"),
        ("at: [8, 1]", r"at is \[8, 1\]"),
        ("at: [1]", r"at is \[1\]: give \[FIRST, LAST\] users"),
        ("at: 5", "at is 5"),
        ("at: [1, 9000000]", r"give \[FIRST, LAST\] users"),
        ("factor: 0", "factor is 0"),
        ("factor: .nan", "factor is nan: give a number above 0"),
        ("factor: much", "factor is much: give a number above 0"),
        ("label: me", "label is me"),
        ("label: [paper]", "one of paper, inferred, project"),
        ("colour: red", "has colour, which no claim has"),
        ("figure: fig9", "has figure, which no claim has"),
        ("of: ab", "of is ab: list deployments"),
        ("of: []", r"of is \[\]: list deployments"),
        ("than: d", "than is d: list deployments"),
        ("relative_to: few", "relative_to is few: give a number of users, or fewer"),
        ("says: 3", "says is 3: give a text"),
        ("says: ' '", "says is  : give a text"),
        ('says: "red \\e[31m"', "give a text of printable characters"),
        ('id: "a\\nb"', "give a text of one line"),
        ('of: ["a\\nb"]', "list deployments"),
        ("study: [a]", "give a text"),
        ("factor: 1" + 400 * "0", "factor is 10.*: give a number above 0"),
        ("of: [a, b, a]", "of has a twice"),
        ("than: [d, d]", "than has d twice"),
        ("than: [b, a]", "of and than both have a: its ratio is always 1"),
        ("relative_to: 8", "relative_to is 8, and at ends at 8: give fewer users"),
    ],
)
def test_a_claim_that_cannot_be_is_refused(tmp_path: Path, change: str, message: str) -> None:
    values = {
        "id": "x", "says": "s", "label": "paper", "reading": "r", "quantity": "ttft_s.p50",
        "of": "[a]", "is": "below", "than": "[d]", "factor": "1", "at": "[1, 8]",
    }  # fmt: skip
    name, _, value = change.partition(": ")
    lines = [f"   {key}: {text}" for key, text in {**values, name: value}.items()]
    (tmp_path / "fig4").mkdir()
    (tmp_path / "fig4" / "claims.yaml").write_text("claims:\n -\n" + "\n".join(lines))
    with pytest.raises(ConfigError, match=message):
        statements.read("fig4", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give claims: a list of entries"),
        ("claims: 3", "give claims: a list of entries"),
        ("claims: [x]", "give claims: a list of entries"),
        ("claims: []", "give claims: a list of entries"),
        ("claims: [", "is no YAML"),
        ("when: 2020-99-99", "is no YAML: month must be in 1..12"),
        (500 * "[" + 500 * "]", "is no YAML|give claims: a list"),
        (b"claims: \xff\xfe", "is no YAML: 'utf-8' codec"),
        ("claims: [{id: x}]", "claim x has no says"),
        ("claims: [{says: x}]", r"claim \? has no id"),
    ],
)
def test_a_file_that_states_no_claims_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    (tmp_path / "fig4").mkdir()
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "fig4" / "claims.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as raised:
        statements.read("fig4", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fig4" / "claims.yaml").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"cannot read .*claims\.yaml: Is a directory"):
        statements.read("fig4", tmp_path)


def test_a_text_over_several_lines_stays_one_row_of_a_table(tmp_path: Path) -> None:
    page = (statements.EXPERIMENTS.parent / "docs" / "claims.md").read_text()
    own = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "tail").mkdir()
    (tmp_path / "tail" / "claims.yaml").write_text(own.replace("says: ", "says: >\n      A | "))
    [claim] = statements.read("tail", tmp_path)
    assert claim.says.startswith("A | Of twenty prompts")
    readme = tmp_path / "README.md"
    readme.write_text(f"{overview.BEGIN}\n{overview.END}\n")
    overview.write(readme, decide([claim], []), predicted=False)
    assert overview.rows_of(readme.read_text()) == {"tail e-answers-sooner": ["not yet", UNDECIDED]}


def test_an_experiment_without_claims_is_named() -> None:
    for name in ("fig3", "../experiments/fig4", ""):
        with pytest.raises(ConfigError, match=f"{name} states no claims: choose from fig4"):
            statements.read(name)
