"""`python -m er.routing.evaluate ROUTER [--corpus FILE.jsonl] [--report DIR]`: how good it is.

Without a file the held-out prompts of the corpus that the router was trained on are used, shuffled.
"""

import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from er import cli, config
from er.compose import plan
from er.corpus import collection, jsonl
from er.errors import ErError
from er.routing import clusters
from er.routing.measures import Evaluation, evaluate
from er.routing.router import Router, load


def main() -> None:
    """Measure, print, and write the report if --report is given."""
    about = "Load, agreement with labels, stability and top terms of a router."
    parser = cli.parser("er.routing.evaluate", about)
    parser.add_argument("router", type=Path, metavar="ROUTER", help="file of a trained router")
    parser.add_argument("--corpus", type=Path, metavar="FILE.jsonl", help="lines {text, label?}")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write numbers and pictures")
    parser.add_argument("--seeds", type=int, default=2, help="other seeds to train for stability")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where the corpus is")
    options = parser.parse_args()
    config.require(options.seeds >= 0, f"--seeds is {options.seeds}: give 0 or more")
    if options.report:
        config.require_folder(str(options.report), "--report")
    router = load(options.router)
    others: list[Router] = []
    if options.corpus:
        prompts = jsonl.read(options.corpus)
    else:
        texts = own_corpus(router, options.cache)
        prompts = shuffled(
            jsonl.Labelled(text.text, text.topic) for text in texts if text.split == "test"
        )
        others = other_seeds(router, texts, options.seeds)
    prompt_texts = [prompt.text for prompt in prompts]
    labels = [prompt.label for prompt in prompts if prompt.label is not None]
    evaluation = evaluate(
        router, prompt_texts, labels if len(labels) == len(prompt_texts) else None, others
    )
    print("\n".join(report(evaluation)))
    if options.report:
        from er.routing import pictures

        options.report.mkdir(parents=True, exist_ok=True)
        (options.report / "evaluation.json").write_text(json.dumps(asdict(evaluation), indent=1))
        for path in pictures.draw(router, prompt_texts, evaluation, options.report):
            print(f"picture: {path}")


def shuffled(prompts: Iterable[jsonl.Labelled]) -> list[jsonl.Labelled]:
    """In random order: load over time would otherwise follow the order of the topics."""
    order = list(prompts)
    random.Random(0).shuffle(order)
    return order


def own_corpus(router: Router, cache_dir: Path) -> list[collection.Text]:
    """The corpus that a router was trained on. Raises ErError when it is no longer available."""
    trained = router.metadata.get("corpus", {})
    if "name" not in trained:
        raise ErError("the router does not say what it was trained on: give --corpus FILE.jsonl")
    [job] = plan([f"corpus={trained['name']}"])
    texts = collection.load(job.corpus, cache_dir)
    if collection.digest(texts) != trained["digest"]:
        raise ErError(
            f"corpus {trained['name']} is no longer the one that the router was trained on: "
            "train it again, or give --corpus FILE.jsonl"
        )
    return texts


def other_seeds(router: Router, texts: Sequence[collection.Text], count: int) -> list[Router]:
    """The same router trained with other seeds."""
    routing = config.Routing(**router.metadata["routing"])
    trained_on = [text.text for text in texts if text.split == "train"]
    seed = router.metadata["seed"]
    return [clusters.fit(trained_on, routing, seed + 1 + other, {}) for other in range(count)]


def report(evaluation: Evaluation) -> list[str]:
    """An evaluation as lines of text."""
    lines = [
        f"{evaluation.prompts} prompts, {len(evaluation.load)} experts",
        f"load, max over mean: {evaluation.peak:.2f}; "
        f"in {len(evaluation.peaks_over_time)} windows over time: "
        f"{min(evaluation.peaks_over_time):.2f} to {max(evaluation.peaks_over_time):.2f}",
    ]
    if evaluation.agreement:
        agreement = evaluation.agreement
        lines.append(
            f"agreement with labels: NMI {agreement.nmi:.3f}, purity {agreement.purity:.3f}, "
            f"adjusted Rand index {agreement.ari:.3f}"
        )
    if evaluation.stability:
        values = ", ".join(f"{value:.2f}" for value in evaluation.stability)
        lines.append(f"stability, adjusted Rand index against other seeds: {values}")
    lines += ["", "expert  prompts  top terms"]
    for expert, (load_of, terms) in enumerate(
        zip(evaluation.load, evaluation.top_terms, strict=True)
    ):
        lines.append(f"{expert:6d} {load_of:8d}  {', '.join(terms)}")
    return lines


if __name__ == "__main__":
    sys.exit(cli.run("er.routing.evaluate", main))
