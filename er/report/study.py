"""What a study ends with: figures, verdicts and report, in a folder and in MLflow."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from er import cli
from er.report import views
from er.results import terminal
from er.results.words import count_of

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

FOLDER = "figures"
ID_DIGITS = 8  # of a run, as footers of figures give them


@dataclass(frozen=True)
class Study:
    """A study that is published, and what is to be made of it."""

    name: str
    uri: str
    runs_dir: Path
    figures: Sequence[str]
    ladder: Sequence[int]  # that the command asked for
    command: str = ""  # whose runs it shows; empty: those of the newest one

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.runs_dir / FOLDER


def finish_all(asked: Iterable[Study], out: Console) -> None:
    """Finish each study once, with all figures that are asked for, and say where its runs are.

    Raises ErError as `finish` does.
    """
    parts: dict[tuple[str, str, Path], list[Study]] = {}
    for one in asked:
        parts.setdefault((one.name, one.uri, one.runs_dir), []).append(one)
    studies_at: dict[str, list[str]] = {}
    for (name, uri, runs_dir), same in parts.items():
        figures = list(dict.fromkeys(figure for one in same for figure in one.figures))
        ladder = sorted({users for one in same for users in one.ladder})
        if figures:
            one = Study(name, uri, runs_dir, figures, ladder, same[0].command)
            finish(one, partial(terminal.show, out))
        studies_at.setdefault(uri, []).append(name)
    for uri, studies in studies_at.items():
        with cli.loading():
            from er.tracking.experiment import describe_ui

        for line in describe_ui(uri, studies):
            out.print(line, highlight=False, markup=False, soft_wrap=True)  # commands to copy


def finish(study: Study, say: Callable[[str], None]) -> None:
    """Make all of it that is not there, and say where it is.

    Raises ErError where the study has no runs, or the store cannot be written.
    """
    from er.claims import statements
    from er.tracking import query

    @cache
    def runs() -> "list[PublishedRun]":
        return query.shown(study.uri, study.name, study.command)

    made: list[Path] = []
    for name in study.figures:
        picture = views.draw_runs(name, runs, study.folder)
        first, *others = picture.files
        kinds = f" (and {', '.join(file.suffix for file in others)})" if others else ""
        say(f"figure: {first}{kinds}{_there(picture.kept)}")
        for line in picture.summary:
            say(f"  {line}")
        made += picture.files
    claims: list[dict[str, str]] = []
    if study.name in {claim.study for claim in statements.every()}:
        from er.report import files

        written = files.write(study.name, study.uri, study.folder, runs())
        claims = written.claims
        for line in verdicts_of(claims, study.figures):
            say(line)
        say(f"report: {written.file}{_there(written.kept)}")
        made.append(written.file)
    if runs.cache_info().currsize:  # a table shows no runs
        for line in (*describe_added(study, runs()), *describe_left_out(study, runs())):
            say(line)
    if made:
        from er.tracking.study import publish_study

        how = "predicted" if any("-predicted" in file.name for file in made) else "measured"
        note = note_of(study.name, how, claims, made)
        publish_study(study.uri, study.name, how, study.runs_dir, made, note)


def describe_added(study: Study, shown: "Sequence[PublishedRun]") -> list[str]:
    """A line on the points of these runs that the command did not ask for: a run is shown whole,
    however many commands it grew by."""
    searched = any(run.capacity or run.config["load"]["find_knee"] for run in shown)
    there = {point.concurrency for run in shown for point in run.points}
    others = sorted(there - set(study.ladder))
    if searched or not others:
        return []
    users = f"{', '.join(f'{concurrency:,}' for concurrency in others)} users"
    return [
        f"shown too: {users}, which earlier commands added to these runs; in a study of its own "
        "(study=NAME) this command shows what it asks for alone, without measuring it again"
    ]


def describe_left_out(study: Study, shown: "Sequence[PublishedRun]") -> list[str]:
    """Lines on what lies in the study beside the runs of the newest command, and how to show it."""
    from er.tracking import query

    others = query.comparable_with(study.uri, shown)
    if not others:
        return []
    names = ", ".join(run.deployment.upper() for run in others)
    ids = ",".join(run.id[:ID_DIGITS] for run in (*shown, *others))
    return [
        f"not shown: {names} of study {study.name}, which this command does not have: repeat the "
        "one that had them, or show all with",
        f"  python -m er.report {study.name} runs={ids} uri={study.uri}",
    ]


def verdicts_of(claims: Sequence[Mapping[str, str]], figures: Sequence[str]) -> list[str]:
    """Lines for a terminal: each claim about these figures with its verdict and why; how many of
    each verdict there are among all."""
    from er.claims import documents

    lines = []
    for claim in claims:
        if claim["figure"] in figures:
            lines.append(f"{claim['figure']} {claim['verdict'].upper()}: {claim['says']}")
            lines.append(f"  {claim['why']}")
    if lines:
        lines = ["what the paper says of it, and what came out:", *lines, documents.INTERVALS]
    counts = Counter(claim["verdict"] for claim in claims).most_common()
    found = ", ".join(f"{count} {word}" for word, count in counts)
    count = count_of(len(claims), "claim")
    return [*lines, f"of {count} stated about the study: {found} (python -m er.claims)"]


def note_of(
    study: str, how: str, claims: Sequence[Mapping[str, str]], files: Sequence[Path]
) -> str:
    """Markdown for the page of the study's run in MLflow."""
    lines = [f"**Study {study}, {how}**: its figures are under Artifacts."]
    if claims:
        lines += ["", "| claim of the paper | verdict |", "|---|---|"]
        lines += [f"| {claim['figure']} {claim['id']} | {claim['verdict']} |" for claim in claims]
    names = dict.fromkeys(file.name for file in files)
    return "\n".join([*lines, "", *[f"- `figures/{name}`" for name in names]])


def _there(kept: bool) -> str:
    return ", there already" if kept else ""
