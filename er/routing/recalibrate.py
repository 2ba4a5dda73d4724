"""`python -m er.routing.recalibrate ROUTER traffic.jsonl`: even out the load on other prompts.

Only the prices are fitted again, on prompts without labels; centres and terms stay.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from er import cli
from er.corpus import jsonl
from er.errors import ConfigError
from er.routing import balance
from er.routing.router import Router, load, save


def recalibrate(router: Router, texts: Sequence[str]) -> Router:
    """The same router with prices that even out the load on prompts such as `texts`.

    Raises ConfigError when there are fewer prompts than experts.
    """
    if len(texts) < router.experts:
        raise ConfigError(
            f"{len(texts)} prompts are too few to balance {router.experts} experts: "
            "give some hundred recent ones"
        )
    scores = np.stack([router.scores(text) for text in texts]) + router.prices
    content = hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()
    fitted_on = {"prompts": len(texts), "digest": content}
    return replace(
        router,
        prices=balance.steady_prices(scores),
        metadata=router.metadata | {"recalibrated_on": fitted_on},
    )


def main() -> None:
    """Write the recalibrated router, and print the load on the prompts before and after."""
    about = "Even out the load on recent prompts: fit the prices again."
    parser = cli.parser("er.routing.recalibrate", about)
    parser.add_argument("router", type=Path, metavar="ROUTER", help="file of a trained router")
    parser.add_argument("traffic", type=Path, metavar="FILE.jsonl", help='lines {"text": ...}')
    parser.add_argument("--out", type=Path, help="default: ROUTER-recalibrated.npz")
    options = parser.parse_args()
    router = load(options.router)
    texts = [prompt.text for prompt in jsonl.read(options.traffic)]
    fitted = recalibrate(router, texts)
    out = options.out or options.router.with_name(f"{options.router.stem}-recalibrated.npz")
    save(fitted, out)
    print(f"load, max over mean, on {len(texts)} prompts: {peak(router, texts):.2f} before, "
          f"{peak(fitted, texts):.2f} after")  # fmt: skip
    print(f"router: {out}")


def peak(router: Router, texts: Sequence[str]) -> float:
    """Load of the busiest expert over the mean load."""
    load_of = np.bincount([router.classify(text) for text in texts], minlength=router.experts)
    return float(load_of.max() * router.experts / len(texts))


if __name__ == "__main__":
    sys.exit(cli.run("er.routing.recalibrate", main))
