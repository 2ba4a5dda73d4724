"""`python -m er.table1`: Table I as configured, with the origin of every cell."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from er import cli, compose
from er.config import Config

ROWS = "abcde"


def table(configs: list[Config]) -> Table:
    """One row a deployment; each cell with its label: paper, inferred or unknown."""
    result = Table("", "what", "model", "precision", "TP", "experts", "GPUs", box=box.SIMPLE_HEAD)
    for config in configs:
        row = config.deployment

        def cell(name: str, value: object, labels: dict[str, str] = row.labels) -> str:
            return f"{value} \\[{labels[name]}]"

        result.add_row(
            row.id.upper(),
            "Expert Router" if row.routed else "baseline",
            cell("model", row.model.name),
            cell("precision", row.precision.value),
            cell("tp", row.tp),
            cell("experts", row.experts),
            str(row.gpus),
        )
    return result


def main() -> int:
    """Print Table I as configured, with the origin of every cell."""
    cli.parser("er.table1", main.__doc__).parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table([compose.plan([f"deployment={row}"])[0] for row in ROWS]))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("er.table1", main))
