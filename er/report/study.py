"""What a study ends with: figures, verdicts and report, in a folder and in MLflow."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from er.report import views

FOLDER = "figures"


@dataclass(frozen=True)
class Study:
    """A study that is published, and what is to be made of it."""

    name: str
    uri: str
    runs_dir: Path
    figures: Sequence[str]

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.runs_dir / FOLDER


def finish(study: Study, say: Callable[[str], None]) -> None:
    """Make all of it that is not there, and say where it is.

    Raises ErError where the study has no runs, or the store cannot be written.
    """
    from er.claims import statements

    made: list[Path] = []
    for name in study.figures:
        picture = views.draw(name, study.uri, study.name, study.folder)
        first, *others = picture.files
        kinds = f" (and {', '.join(file.suffix for file in others)})" if others else ""
        say(f"figure: {first}{kinds}{_there(picture.kept)}")
        for line in picture.summary:
            say(f"  {line}")
        made += picture.files
    claims: list[list[str]] = []
    if study.name in {claim.study for claim in statements.every()}:
        from er.report import files

        written = files.write(study.name, study.uri, study.folder)
        claims = written.claims
        counts = Counter(word for _, word in claims).most_common()
        found = ", ".join(f"{count} {word}" for word, count in counts)
        say(f"the paper's {len(claims)} claims: {found}")
        say(f"report: {written.file}{_there(written.kept)}")
        made.append(written.file)
    if made:
        from er.tracking.study import publish_study

        how = "predicted" if any("-predicted" in file.name for file in made) else "measured"
        note = note_of(study.name, how, claims, made)
        publish_study(study.uri, study.name, how, study.runs_dir, made, note)


def note_of(study: str, how: str, claims: Sequence[Sequence[str]], files: Sequence[Path]) -> str:
    """Markdown for the page of the study's run in MLflow."""
    lines = [f"**Study {study}, {how}**: its figures are under Artifacts."]
    if claims:
        lines += ["", "| claim of the paper | verdict |", "|---|---|"]
        lines += [f"| {claim} | {word} |" for claim, word in claims]
    names = dict.fromkeys(file.name for file in files)
    return "\n".join([*lines, "", *[f"- `figures/{name}`" for name in names]])


def _there(kept: bool) -> str:
    return ", there already" if kept else ""
