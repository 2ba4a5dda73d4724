"""Pictures of a router: experts by topics, a map of prompts, the load."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from er.routing.measures import Evaluation, decisions
from er.routing.router import Router

MAPPED_AT_MOST = 1500
DPI = 150


def draw(router: Router, texts: Sequence[str], evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the pictures as PNG into `folder`; their paths."""
    mpl.use("Agg")
    sns.set_theme(context="paper", style="whitegrid")
    figures = {"load": load(evaluation), "load_over_time": load_over_time(evaluation)}
    if evaluation.topics:
        figures["topics"] = topics(evaluation)
    if len(texts) > 3 * router.experts:
        figures["map"] = prompt_map(router, texts, evaluation)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI, bbox_inches="tight")
    return paths


def topics(evaluation: Evaluation) -> Figure:
    """A heat map: where the prompts of each topic went, in percent."""
    names = list(evaluation.topics)
    counts = np.array([evaluation.topics[name] for name in names])
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    order = np.lexsort((-shares.max(axis=1), shares.argmax(axis=1)))
    figure = Figure(figsize=(0.55 * counts.shape[1] + 3, 0.3 * len(names) + 1.2))
    sns.heatmap(
        shares[order],
        ax=figure.subplots(),
        annot=True,
        fmt=".0f",
        cmap="Blues",
        vmin=0,
        vmax=100,
        yticklabels=[f"{names[row]} ({counts[row].sum()})" for row in order],
        cbar_kws={"label": "share of the topic's prompts (%)"},
    )
    figure.axes[0].set(xlabel="expert", title="Where the prompts of each topic go")
    return figure


def load(evaluation: Evaluation) -> Figure:
    """Bars: prompts by expert, with the expert's top terms."""
    figure = Figure(figsize=(7, 0.4 * len(evaluation.load) + 1.2))
    axes = figure.subplots()
    colours = sns.color_palette("husl", len(evaluation.load))
    names = [
        f"{expert}: {', '.join(terms[:4])}" for expert, terms in enumerate(evaluation.top_terms)
    ]
    axes.barh(names, evaluation.load, color=colours)
    mean = evaluation.prompts / len(evaluation.load)
    axes.axvline(mean, color="black", linestyle="--", label=f"equal load ({mean:.0f})")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(
        xlabel=f"prompts (of {evaluation.prompts})",
        title=f"Load of each expert, and its top terms (max / mean = {evaluation.peak:.2f})",
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False)
    return figure


def load_over_time(evaluation: Evaluation) -> Figure:
    """A line: the busiest expert's load in consecutive windows of prompts."""
    figure = Figure(figsize=(6, 3))
    axes = figure.subplots()
    count = len(evaluation.peaks_over_time)
    ends = (np.arange(count) + 1) * evaluation.prompts / count
    axes.plot(ends, evaluation.peaks_over_time, marker="o")
    axes.axhline(1, color="black", linestyle="--", label="equal load")
    axes.set(
        xlabel="prompts, in their order",
        ylabel="max / mean load of a window",
        title=f"Load over time, in windows of {evaluation.prompts // count} prompts",
        ylim=(0, max(evaluation.peaks_over_time) * 1.1),
    )
    axes.legend(loc="lower right")
    return figure


def prompt_map(router: Router, texts: Sequence[str], evaluation: Evaluation) -> Figure:
    """Dots: prompts by likeness (t-SNE of their vectors), coloured by expert."""
    step = max(1, len(texts) // MAPPED_AT_MOST)
    shown = texts[::step]
    chosen = decisions(router, shown)
    embedded = [router.lookup.embed(text) for text in shown]
    vectors = np.array([vector / (length or 1.0) for vector, length in embedded])
    perplexity = min(30.0, (len(shown) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
    figure = Figure(figsize=(7, 5))
    axes = figure.subplots()
    colours = sns.color_palette("husl", router.experts)
    for expert in range(router.experts):
        mine = places[chosen == expert]
        name = f"{expert}: {', '.join(evaluation.top_terms[expert][:3])}"
        axes.scatter(mine[:, 0], mine[:, 1], s=9, color=colours[expert], label=name, linewidths=0)
    axes.set(xticks=[], yticks=[], title="Prompts by likeness, coloured by expert")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)
    return figure
