"""Every command that a document, a help text or a docstring shows can be typed in bash and zsh."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("docs", "experiments", "slurm", "er", "conf", "paper_figures", "benchmarks")
FILES = sorted(
    [*ROOT.glob("*.md"), ROOT / "Makefile"]
    + [
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*.*")
        if path.suffix in (".md", ".py", ".yaml") and not path.is_relative_to(ROOT / "er" / "conf")
    ]
)
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:python3?|\S*/bin/python|er-run|make|pip|docker|curl|sbatch|srun|salloc|"
    r"eval|export|source|git|hf|apptainer|enroot|mpirun|mlflow) +\S"
)
SHELLS = ("", "bash", "sh", "console", "shell")
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
# zsh takes these apart where bash often does not: patterns without a match end the command.
TAKEN_APART = re.compile(r"[\[\]*?{}()]|(?:^|[\s=:])~\w|(?:^|\s)=\w|!")

# `[KEY=VALUE ...]` in place of an argument is no example, and `$(...)` is the shell's own.
SYNOPSIS = re.compile(r"(?<=\s)\[[^\]]*\]|\$\([^)]*\)|<TAB>")


def examples(path: Path) -> Iterator[str]:
    """The commands in a file: in blocks of code, indented, or in backticks."""
    text = path.read_text().replace("\\\n", " ")
    if path.suffix == ".md":
        fenced, language = False, ""
        for line in text.splitlines():
            if line.startswith("```"):
                fenced, language = not fenced, line[3:].strip()
            elif (fenced and language in SHELLS) or line.startswith("    "):
                yield from commands(line.strip().removeprefix("$ "))
    else:
        for line in re.findall(r"^(?:#|    )? +(python -m .*)$", text, re.MULTILINE):
            yield from commands(line)
    for inline in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        yield from commands(inline)


def commands(line: str) -> Iterator[str]:
    """The line without its comment, where it is a command."""
    if PROGRAM.match(line):
        kept = re.match(rf"(?:{QUOTED.pattern}|(?!\s#|\s\s\s).)*", line)
        assert kept
        yield kept[0].strip()


def test_examples_are_found() -> None:
    assert "python -m er.run -m 'deployment=a,e' 'seed=0,1'" in examples(ROOT / "README.md")
    assert sum(len(list(examples(path))) for path in FILES) > 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shell_passes_each_example_on_unchanged(path: Path) -> None:
    for command in examples(path):
        assert not TAKEN_APART.search(SYNOPSIS.sub("", QUOTED.sub("", command))), command
