"""A study's report, from the store into a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from er.claims.verdicts import Verdict


def write(
    study: str, uri: str, folder: Path, ids: Sequence[str] = ()
) -> "tuple[Path, list[Verdict]]":
    """Write a study's report into a folder; its path, and the verdicts in it.

    Raises ErError where the study has no runs.
    """
    from er import table1
    from er.claims import sensitivity, statements
    from er.claims.verdicts import decide
    from er.report import page
    from er.tracking import query

    runs = query.pinned(uri, ids) if ids else query.shown(uri, study)
    about = [claim for claim in statements.every() if claim.study == study]
    known = folder / sensitivity.FILE
    rows = [table1.cells(config) for config in table1.configured()]
    verdicts = decide(about, runs)
    report = page.Report(
        study,
        runs,
        verdicts,
        (table1.HEADINGS, rows),
        sensitivity.load(known) if known.exists() and about else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    predicted = "-predicted" if any(run.clock == "virtual" for run in runs) else ""
    path = folder / f"report-{study}{predicted}.html"
    path.write_text(page.render(report))
    return path, verdicts
