"""Verdicts and figures in a bundle, held against those made again from its runs."""

import json
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from er.claims import statements
from er.claims.verdicts import Verdict, decide
from er.errors import ErError
from er.results import names
from er.results.json_file import text_of
from paper_figures import view

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

VERDICTS = "verdicts.json"
BUNDLED = "bundled"  # folder of carried figures that differ from those drawn here
ALIKE = 1e-9  # of ratios: sums in another order


def make(study: str, uri: str, runs: Sequence["PublishedRun"], folder: Path) -> list[Path]:
    """Decide the study's claims by these runs and draw its figures, those too that other commands
    drew of them; the files to carry."""
    from er.tracking.study import files_of

    verdicts = folder / VERDICTS
    folder.mkdir(parents=True, exist_ok=True)
    verdicts.write_text(text_of(_verdicts(study, runs)))
    how = "predicted" if any(run.clock == "virtual" for run in runs) else "measured"
    figures = figures_of(runs, files_of(uri, study, how))
    return [verdicts, *(file for name in figures for file in _drawn(name, runs, folder))]


def compare(
    views: Mapping[str, bytes], study: str, runs: Sequence["PublishedRun"], folder: Path
) -> Iterator[str]:
    """Make the same of the runs here, into `folder`; a line for each thing, saying how it differs.

    A carried figure that differs is kept in `folder`/bundled; all of it where there are no
    requests to make it from.
    """
    if VERDICTS not in views:
        return
    if not any(list((run.files / names.REQUESTS).glob("*.parquet")) for run in runs):
        for name, content in views.items():
            _keep(folder, name, content)
        yield f"not checked: without requests; figures and verdicts are those in {folder / BUNDLED}"
        return
    here = json.loads(text_of(_verdicts(study, runs)))
    there = read_verdicts(views[VERDICTS])
    differing = list(_verdicts_apart(there["claims"], here["claims"]))
    yield from differing
    if not differing:
        yield f"verdicts: {len(here['claims'])} decided again, as in the bundle"
    versions = _versions_apart(there["made_with"], here["made_with"])
    drawn: dict[str, Path] = {}
    for name in figures_of(runs, views):
        try:
            drawn |= {file.name: file for file in _drawn(name, runs, folder)}
        except ErError as error:
            yield f"NOT DRAWN: {error}"
    for name, content in sorted(views.items()):
        if name == VERDICTS:
            continue
        if name in drawn and drawn[name].read_bytes() == content:
            yield f"figure: {drawn[name]}, as in the bundle byte for byte"
            continue
        kept = _keep(folder, name, content)
        yield f"DIFFERS: {name} is drawn otherwise here ({versions}); the bundle's is {kept}"


def read_verdicts(verdicts: bytes) -> dict[str, Any]:
    """Verdicts that were carried; of none where the file has none, which then differ."""
    empty: dict[str, Any] = {"claims": {}, "made_with": {}}
    try:
        values: dict[str, Any] = json.loads(verdicts)
        wanted = {"verdict", "formula", "effect", "ratio"}
        claims = values["claims"].values()
        whole = all(wanted <= claim.keys() and _is_ratio(claim["ratio"]) for claim in claims)
        return values if whole and isinstance(values["made_with"], dict) else empty
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return empty


def _is_ratio(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _keep(folder: Path, name: str, content: bytes) -> Path:
    kept = folder / BUNDLED / name
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    return kept


def figures_of(runs: Sequence["PublishedRun"], files: Collection[str]) -> list[str]:
    """The figures that the runs' configurations name, and those of these names of files."""
    named = {name for run in runs for name in run.config["figures"]}
    return [
        name
        for name in view.names()
        if name in named or f"{view.file_name(name, runs)}.png" in files
    ]


def _drawn(name: str, runs: Sequence["PublishedRun"], folder: Path) -> list[Path]:
    return view.draw_runs(name, runs, folder).files


def _verdicts(study: str, runs: Sequence["PublishedRun"]) -> dict[str, Any]:
    claims = [claim for claim in statements.every() if claim.study == study]
    return {
        "made_with": {
            "python": platform.python_version(),
            **view.library_versions(),
            "er's code for figures": view.code_digest()[:12],
        },
        "claims": {f"{v.claim.figure} {v.claim.id}": _summary(v) for v in decide(claims, runs)},
    }


def _summary(verdict: Verdict) -> dict[str, Any]:
    effect = verdict.effect
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "formula": verdict.claim.formula,
        "effect": verdict.effect_described,
        "ratio": effect.ratio if effect else None,
        "runs": verdict.runs,
    }


def _verdicts_apart(there: dict[str, Any], here: dict[str, Any]) -> Iterator[str]:
    for claim in {**there, **here}:
        if claim not in there or claim not in here:
            yield f"DIFFERS: {claim} is stated only {'here' if claim in here else 'in the bundle'}"
            continue
        one, other = there[claim], here[claim]
        if one["formula"] != other["formula"]:
            yield f"DIFFERS: {claim} has another formula here: {other['formula']}"
        if one["verdict"] != other["verdict"]:
            yield f"DIFFERS: {claim} was {one['verdict']}, and is {other['verdict']} here"
        elif not _close(one["ratio"], other["ratio"]):
            yield f"DIFFERS: {claim}: {one['effect']} in the bundle, {other['effect']} here"


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= ALIKE * max(abs(one), abs(other))


def _versions_apart(there: dict[str, str], here: dict[str, str]) -> str:
    apart = [
        f"{name} {there.get(name, 'none')} there, {version} here"
        for name, version in here.items()
        if there.get(name) != version
    ]
    return ", ".join(apart) or "with the same code, Python and libraries"
