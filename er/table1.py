"""`python -m er.table1`: Table I as configured, with the origin of every cell."""

import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from er import cli, compose
from er.config import Config
from er.errors import ConfigError
from er.options import CONF
from er.results import terminal
from er.results.marked import around, replace_between
from er.simulation.memory import kv_blocks, weight_bytes
from er.simulation.spec import spec_of

HEADINGS = (
    "",
    "what",
    "model",
    "precision",
    "TP",
    "experts",
    "GPUs",
    "weights of an engine",
    "KV tokens of an engine",
)
BEGIN, END = "<!-- written by python -m er.table1 --write -->", "<!-- end of Table I -->"


def main() -> None:
    """Print Table I as configured, with the origin of every cell."""
    parser = cli.parser("er.table1", main.__doc__)
    parser.add_argument(
        "--markdown", action="store_true", default=False, help="print it as Markdown"
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help=f"write it into a Markdown file, between the lines {BEGIN} and {END}",
    )
    options = parser.parse_args()
    if options.write:
        around(options.write, BEGIN, END)
    rows = [cells(config) for config in configured()]
    if options.write:
        replace_between(options.write, BEGIN, END, markdown(rows))
        print(f"Table I: {options.write}")
    elif options.markdown:
        print(markdown(rows))
    else:
        show(rows, terminal.console(160))


def configured() -> list[Config]:
    """The deployments that have a letter for a name, in its order."""
    letters = sorted(path.stem for path in (CONF / "deployment").glob("?.yaml"))
    return [compose.plan([f"deployment={letter}"])[0] for letter in letters]


def cells(config: Config) -> list[str]:
    """A row: each fact with its label, paper, inferred, unknown or project.

    Weights and KV cache are the project's own: computed for the configured engine and node type.
    """
    row = config.deployment

    def label(name: str) -> str:
        return row.labels.get(name, "project")

    gpus = "paper" if label("tp") == label("experts") == "paper" else "inferred"
    facts = (
        (row.model.name, label("model")),
        (row.precision.value, label("precision")),
        (row.tp, label("tp")),
        (row.experts, label("experts")),
        (row.gpus, gpus if row.labels else "project"),
        (f"{weight_bytes(row.model, row.precision) / 1e9:.1f} GB", "project"),
        (kv_tokens(config), "project"),
    )
    kind = "Expert Router" if row.routed else "baseline"
    return [row.id.upper(), kind, *[f"{value} [{origin}]" for value, origin in facts]]


def kv_tokens(config: Config) -> str:
    """Tokens whose keys and values fit beside one engine's weights, over all its GPUs."""
    try:
        spec = spec_of(config)
        return f"{kv_blocks(spec) * spec.engine.tokens_per_block:,}"
    except ConfigError:
        return f"does not fit {config.hardware.name}"


def show(rows: list[list[str]], out: Console) -> None:
    """Print the table, or, where a terminal is too narrow for it, a line for each fact."""
    result = Table(*HEADINGS, box=box.SIMPLE_HEAD)
    for row in rows:
        result.add_row(*map(escape, row))
    unlimited = out.options.update(width=1000)
    if out.measure(result, options=unlimited).maximum <= out.width:
        out.print(result)
        return
    for name, what, *facts in rows:
        out.print(f"{name}  {what}", highlight=False)
        for heading, fact in zip(HEADINGS[2:], facts, strict=True):
            out.print(f"   {' '.join(heading.split())}: {fact}", highlight=False, markup=False)


def markdown(rows: list[list[str]]) -> str:
    """The table as Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(cli.run("er.table1", main))
