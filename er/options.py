"""What `conf/` lets a user choose, for `--help`: each option with its file's first sentence."""

import re
import textwrap
from dataclasses import fields
from pathlib import Path

from omegaconf import OmegaConf

from er.config import Config

USAGE = """\
python -m er.run [-m] [+experiment=NAME] [GROUP=OPTION ...] [KEY=VALUE ...]

  python -m er.run +experiment=fig4                the five deployments of Table I
  python -m er.run -m deployment=a,e seed=0,1      -m: a run for each combination of the values
  python -m er.run +experiment=fig4 --cfg job      every key with its value; starts nothing

Groups and their options, * where none is chosen:
"""
ENDING = """\
--hydra-help tells Hydra's own options. Completion: eval "$(python er/run.py -sc install=bash)",
then python er/run.py and the tabulator. Exit codes: 0 done, 1 something failed, 2 the request
cannot be run, 130 Ctrl-C, 143 TERM.
"""
WIDTH = 100


def help_text(conf: Path) -> str:
    """Usage, then every group of `conf` with its options."""
    groups = {field.name for field in fields(Config)} - {"experiment"}
    defaults = default_options(conf)
    lines = [USAGE]
    for group in ["experiment", *sorted(groups)]:
        lines += _group(conf / group, defaults.get(group, ""))
    return "\n".join([*lines, "", ENDING])


def default_options(conf: Path) -> dict[str, str]:
    """The option that each group has when none is chosen."""
    chosen = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml").defaults)
    assert isinstance(chosen, list)
    return {
        str(group): str(option)
        for entry in chosen
        if isinstance(entry, dict)
        for group, option in entry.items()
    }


def first_sentence(text: str) -> str:
    """Of the comment that a YAML file begins with; empty where it begins with none."""
    words = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            words.append(line.removeprefix("#").strip())
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(words))[0]


def _group(folder: Path, default: str) -> list[str]:
    options = sorted(folder.glob("*.yaml"))
    wide = max((len(path.stem) for path in options), default=0)
    lines = [f"{folder.name}="] if options else []
    for path in options:
        mark = "*" if path.stem == default else " "
        start = f"  {mark} {path.stem.ljust(wide)}  "
        sentence = first_sentence(path.read_text())
        lines += textwrap.wrap(
            sentence, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
        ) or [start.rstrip()]
    return lines
