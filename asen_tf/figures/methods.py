"""The scores of many methods below each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asen_tf.figures.style import COLOURS, WIDTH, label, themed

_MARKERS = {"global": "s", "local": "^", "fused": "o"}
_SCORES = ("overall", "macro")
_BELOW = {"loc": "outside lower right", "ncols": 4}


@themed
def method_scores(summary: pd.DataFrame) -> Figure:
    """Draw overall and macro MAP of each row of a table, in its order, with intervals.

    Args:
        summary: of `asen_tf.tables.summarise`: `series, method, embedding, attribute, map, low,
            high`; percent. A random ranking is a dashed line.
    """
    random = summary[summary["method"] == "random"]
    ranked = summary[summary["method"] != "random"]
    order = list(ranked["series"].unique())
    figure = Figure(figsize=(WIDTH, 0.25 * len(order) + 1.4), layout="constrained")
    panels = figure.subplots(1, len(_SCORES), sharey=True)
    for axes, attribute in zip(panels, _SCORES, strict=True):
        rows = ranked[ranked["attribute"] == attribute]
        for embedding in rows["embedding"].unique():
            part = rows[rows["embedding"] == embedding]
            reach = np.abs([part["map"] - part["low"], part["high"] - part["map"]])
            axes.errorbar(
                part["map"],
                [order.index(name) for name in part["series"]],
                xerr=reach,
                fmt=_MARKERS.get(embedding, "D"),
                color=COLOURS.get(embedding, "black"),
                markersize=5.5,
                elinewidth=1.3,
                capsize=2.5,
                label=embedding,
            )
        for chance in random.loc[random["attribute"] == attribute, "map"]:
            axes.axvline(
                chance, color=COLOURS["random"], linestyle="--", linewidth=1.2, label="random"
            )
        axes.set(title=f"MAP (test), {label(attribute)}", xlabel="percent")
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(len(order) - 0.4, -0.6)  # the table's first row on top
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    handles, words = panels[0].get_legend_handles_labels()
    known = sorted(zip(words, handles, strict=True), key=lambda pair: pair[0] == "random")
    figure.legend([handle for _, handle in known], [word for word, _ in known], **_BELOW)
    return figure
