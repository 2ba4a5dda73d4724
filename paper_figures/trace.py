"""A trace: when its requests arrive, and how long prompts and answers are; or lengths of prompts.

`python -m er.load inspect=FILE` runs `python -m paper_figures.trace` with the numbers as JSON.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from er import cli
from er.errors import ConfigError
from paper_figures import style
from paper_figures.looks import COLOURS

NAMES = {"input_tokens": "prompt", "output_tokens": "answer"}


def main() -> int:
    """Draw what standard input holds into the folder and under the name of the arguments."""
    return cli.run("paper_figures.trace", lambda: draw(sys.argv[1:]), "nothing is drawn")


def draw(arguments: Sequence[str]) -> int:
    """Draw the shape that standard input holds. Raises ConfigError where there is none."""
    try:
        folder, name = arguments
        shape = json.load(sys.stdin)
    except ValueError as error:
        raise ConfigError("er.load inspect=FILE calls it, with FOLDER, NAME and JSON") from error
    with style.applied():
        paths = style.save(figure(shape), Path(folder), name)
    for path in paths:
        print(f"figure: {path}")
    return 0


def figure(shape: dict[str, Any]) -> Figure:
    """Requests per second over the span (`edges_s`, `requests_per_s`), and the distributions of
    token counts (101 quantiles each); one of both can be absent."""
    names = [name for name in NAMES if name in shape]
    timed = "edges_s" in shape
    drawn, axes = style.panels(*([2] if timed else []), *([1] if names else []))
    if timed:
        axes[0].stairs(shape["requests_per_s"], shape["edges_s"], fill=True, color=COLOURS[0])
        axes[0].set(xlabel="time (s)", ylabel="requests/s", ylim=(0, None))
    for name, colour in zip(names, COLOURS, strict=False):
        shares = [at / 100 for at in range(101)]
        axes[-1].plot(shape[name], shares, color=colour, label=NAMES[name])
    if names:
        axes[-1].set(xscale="log", xlabel="tokens", ylabel="share with at most so many")
        axes[-1].legend()
    drawn.suptitle(shape["title"], fontweight="bold")
    return drawn


if __name__ == "__main__":
    sys.exit(main())
