"""`python -m er.routing.classify ROUTER "prompt"`: the expert of a prompt, and why."""

import sys
from pathlib import Path

from er import cli
from er.routing.explain import Explanation, explain
from er.routing.router import Router, load

TERMS_SHOWN = 10


def main() -> None:
    """Print the expert, every score, the margin and the terms that decided."""
    parser = cli.parser("er.routing.classify", "The expert of a prompt, and why.")
    parser.add_argument("router", type=Path, metavar="ROUTER", help="file of a trained router")
    parser.add_argument("prompt", help="its text; - reads standard input")
    options = parser.parse_args()
    text = sys.stdin.read() if options.prompt == "-" else options.prompt
    router = load(options.router)
    print("\n".join(report(router, explain(router, text))))


def report(router: Router, explanation: Explanation) -> list[str]:
    """A decision as lines of text."""
    lines = [f"expert {explanation.expert}", "", "expert     score     price    weight"]
    for expert, score in enumerate(explanation.scores):
        mark = " <" if expert == explanation.expert else ""
        price, weight = router.prices[expert], explanation.weights[expert]
        lines.append(f"{expert:6d} {score:9.4f} {price:9.4f} {weight:9.4f}{mark}")
    lines += ["", f"margin over expert {explanation.runner_up}: {explanation.margin:.4f}, made of"]
    shown = explanation.terms[:TERMS_SHOWN]
    lines += [f"{part:+10.4f}  {term}" for term, part in shown]
    if len(explanation.terms) > TERMS_SHOWN:
        rest = sum(part for _, part in explanation.terms[TERMS_SHOWN:])
        lines.append(f"{rest:+10.4f}  {len(explanation.terms) - TERMS_SHOWN} more terms")
    lines.append(f"{explanation.offset:+10.4f}  whatever the prompt (centres and prices)")
    return lines


if __name__ == "__main__":
    sys.exit(cli.run("er.routing.classify", main))
