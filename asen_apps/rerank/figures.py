"""What re-ranking gains and costs: precision, overall similarity, and how they are traded."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_apps.rerank.text import chosen
from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_tf.data import label

_BEFORE, _AFTER, _OPEN = COLOURS["global"], COLOURS["fused"], "#767676"
_STYLES = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"))
_SHADES = ("#56B4E9", "#0072B2", "#009E73", "#000000", "#E69F00")


@themed
def reranking_precision(table: pd.DataFrame, *, top: int, weight: float) -> Figure:
    """Draw precision@k before and after, between random and best order; a panel per k.

    Args:
        table: of `asen_apps.rerank.rerank_table`.
        top: how many were re-sorted.
        weight: of the blend.
    """
    ks = list(table["k"].unique())
    names = list(table["attribute"].unique())
    figure = Figure(figsize=(WIDTH, 0.34 * len(names) + 1.3), layout="constrained")
    panels = figure.subplots(1, len(ks), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))
    for axes, k in zip(panels, ks, strict=True):
        rows = chosen(table, top=top, weight=weight, k=k)
        before, after = rows["precision_before"], rows["precision_after"]
        axes.hlines(places, before, after, color="#B0B0B0", linewidth=2.5, zorder=1)
        random, oracle = rows["precision_random"], rows["precision_oracle"]
        ring = {"markerfacecolor": "none", "markersize": 8, "markeredgewidth": 1.6}
        bar = {"linestyle": "none", "markeredgewidth": 1.6, "color": "black"}
        axes.plot(random, places, "|", markersize=9, label="random order (exact)", **bar)
        axes.plot(oracle, places, "x", markersize=5, label="best order", **bar)
        axes.plot(after, places, "o", color=_AFTER, markersize=6, label="after")
        axes.plot(before, places, "o", color=_BEFORE, label="before", **ring)
        axes.set(title=f"precision@{k}", xlabel="percent", xlim=(-5, 105))
        _rows(axes, names)
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], words[::-1], **_BELOW, ncols=4)
    return figure


@themed
def reranking_changes(table: pd.DataFrame, *, top: int, weight: float, k: int) -> Figure:
    """Draw gain in precision@k and loss of overall similarity with their intervals.

    Args:
        table: of `asen_apps.rerank.rerank_table`.
        top: how many were re-sorted.
        weight: of the blend.
        k: of precision@k.
    """
    rows = chosen(table, top=top, weight=weight, k=k)
    figure = Figure(figsize=(WIDTH, 0.3 * len(rows) + 1.4), layout="constrained")
    gain, loss = figure.subplots(1, 2, sharey=True)
    _intervals(gain, rows, "gain")
    _intervals(loss, rows, "loss")
    random = rows["similarity_before"] - rows["similarity_random"]
    style = {"markersize": 9, "markeredgewidth": 1.6, "linestyle": "none"}
    places = np.arange(len(rows))
    loss.plot(random, places, "|", color="black", label="loss by a random order", **style)
    gain.set(title=f"Gain in precision@{k}", xlabel="percentage points, with 95 % interval")
    loss.set(
        title=f"Loss of overall similarity, first {k}", xlabel="mean cosine, with 95 % interval"
    )
    for axes in (gain, loss):
        axes.axvline(0.0, color="black", linewidth=1.2, zorder=1)
        _rows(axes, list(rows["attribute"]))
    handles, words = loss.get_legend_handles_labels()
    figure.legend(handles, words, **_BELOW, ncols=3)
    return figure


@themed
def reranking_blend(table: pd.DataFrame, *, top: int) -> Figure:
    """Draw what the weight of the blend does to both: overall, a line per k.

    Args:
        table: of `asen_apps.rerank.rerank_table`, at several weights.
        top: how many were re-sorted.
    """
    rows = table[table["top"] == top]
    return _sweep(rows, "weight", "weight t of the attribute; 0 is the initial list")


@themed
def reranking_depth(table: pd.DataFrame, *, weight: float) -> Figure:
    """Draw what the number of re-sorted candidates does to both: overall, a line per k.

    Args:
        table: of `asen_apps.rerank.rerank_table`, at several `top`.
        weight: of the blend.
    """
    rows = table[table["weight"] == weight]
    figure = _sweep(rows, "top", "K, how many are re-sorted")
    sizes = sorted(rows["top"].unique())
    for axes in figure.axes:
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    return figure


_BELOW = {"loc": "outside lower center"}


def _sweep(table: pd.DataFrame, setting: str, words: str) -> Figure:
    """Draw gain and loss over all queries against a setting, with intervals as bands."""
    rows = table[table["attribute"] == "overall"].sort_values(setting, kind="stable")
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)
    gain, loss = figure.subplots(1, 2)
    for place, k in enumerate(rows["k"].unique()):
        part = rows[rows["k"] == k]
        marker, line = _STYLES[place % len(_STYLES)]
        colour = _SHADES[place % len(_SHADES)]
        for axes, name in ((gain, "gain"), (loss, "loss")):
            style = {"marker": marker, "ls": line, "ms": 4, "lw": 1.6, "color": colour}
            axes.plot(part[setting], part[name], label=f"k = {k}", **style)
            ends = part[f"{name}_low"], part[f"{name}_high"]
            axes.fill_between(part[setting], *ends, color=colour, alpha=0.12, linewidth=0)
    gain.set(title="Gain in precision@k, all queries", xlabel=words, ylabel="percentage points")
    loss.set(title="Loss of overall similarity, all queries", xlabel=words, ylabel="mean cosine")
    for axes in (gain, loss):
        axes.axhline(0.0, color="black", linewidth=1.2, zorder=1)
    handles, names = gain.get_legend_handles_labels()
    figure.legend(handles, names, **_BELOW, ncols=len(names))
    return figure


def _intervals(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw means with intervals; filled dots where the interval leaves out zero."""
    places = np.arange(len(rows))
    low, high = rows[f"{name}_low"], rows[f"{name}_high"]
    clear = ((low > 0) | (high < 0)).to_numpy(bool)
    for part, colour, fill, words in (
        (clear, COLOURS["global"], COLOURS["global"], "interval leaves out zero"),
        (~clear, _OPEN, "white", "interval holds zero"),
    ):
        axes.hlines(places[part], low[part], high[part], color=colour, linewidth=2)
        style = {"markerfacecolor": fill, "markersize": 6, "linestyle": "none", "label": words}
        axes.plot(rows[name][part], places[part], marker="o", color=colour, **style)


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(np.arange(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first attribute on top
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    axes.tick_params(axis="y", length=0)
