"""`python -m er.claims [NAME ...]`: the verdict on each claim of the paper."""

import sys
from collections.abc import Sequence

from er import cli
from er.claims import documents, statements
from er.claims.statements import EXPERIMENTS, Claim
from er.claims.verdicts import Verdict, decide
from er.errors import ConfigError, ErError
from er.results import terminal

PAGE = EXPERIMENTS.parent / "docs" / "paper.md"
README = EXPERIMENTS.parent / "README.md"
WORDS = {"study": "", "runs": "", "uri": "sqlite:///runs/mlflow.db", "write": "false"}
IDS = "Runs are named by their own ids, the same in every store: the tag er.id of MLflow's runs."
HELP = """usage: python -m er.claims [NAME ...] [KEY=VALUE ...]

Hold measured or predicted points against what the paper claims; claims are stated in
experiments/NAME/claims.yaml.

  NAME          claims about this figure only, such as fig4 (default: all)
  study=NAME    whose runs decide (default: the study that each claim names, mostly ladder)
  runs=ID,...   decide by exactly these MLflow runs; the first digits of an id are enough;
                or those that a file pins (python -m er.bundle pin)
  write=true    write the verdicts into experiments/NAME/README.md, all of them into docs/paper.md
                and the table of README.md
  uri=URI       the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main() -> int:
    """Decide and print; the exit code."""
    return cli.run("er.claims", lambda: answer(sys.argv[1:]), "nothing is decided")


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ErError where nothing can be decided."""
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP, cli.EXIT_CODES)
        return 0
    names, words = cli.read_words(arguments, WORDS)
    if words["runs"] and words["study"]:
        raise ConfigError("runs=... decide whatever their study: leave out study=...")
    if words["write"] not in ("true", "false"):
        raise ConfigError(f"write is {words['write']}: choose from true, false")
    claims = [claim for name in names or statements.names() for claim in statements.read(name)]
    from er.tracking import pins

    runs = pins.chosen(words["uri"], words["runs"])
    verdicts = verdicts_on(claims, words["uri"], words["study"], runs)
    documents.log(verdicts, words["uri"])
    out = terminal.console(120)
    out.print(documents.table(verdicts))
    for line in (
        f"{documents.origin(verdicts)} {documents.INTERVALS}", IDS, documents.THRESHOLDS
    ):  # fmt: skip
        terminal.show(out, line)
    if words["write"] == "true":
        for path in documents.write(verdicts, EXPERIMENTS, *([] if names else [PAGE, README])):
            terminal.show(out, f"written: {path}")
    return 0


def verdicts_on(
    claims: Sequence[Claim], uri: str, study: str = "", runs: Sequence[str] = ()
) -> list[Verdict]:
    """A verdict on each claim, by the runs of its study, of another one, or by exactly these runs.

    Raises ErError where there is no run for any of them.
    """
    from er.tracking import query

    if runs:
        return decide(claims, query.pinned(uri, runs))
    decided: dict[str, Verdict] = {}
    unknown: list[ErError] = []
    studies = dict.fromkeys(study or claim.study for claim in claims)
    for name in studies:
        about = [claim for claim in claims if (study or claim.study) == name]
        try:
            found = query.shown(uri, name)
        except ErError as error:
            unknown.append(error)
            found = []
        decided |= {_id(v.claim): v for v in decide(about, found)}
    if len(unknown) == len(studies):
        raise unknown[0]
    return [decided[_id(claim)] for claim in claims]


def _id(claim: Claim) -> str:
    return f"{claim.figure}/{claim.id}"


if __name__ == "__main__":
    sys.exit(main())
