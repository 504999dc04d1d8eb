"""The scores of many methods below each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asen_tf.annotations import label
from asen_tf.figures.groups import lay_out, name_rows
from asen_tf.figures.style import COLOURS, WIDTH, themed
from asen_tf.matrix import LABELS

_MARKERS = {"global": "s", "local": "^", "fused": "o"}
_SCORES = ("overall", "macro")
_BELOW = {"loc": "outside lower center", "ncols": 5, "fontsize": "large"}
_APART = 0.26  # rows, between the embeddings of one row
_MAIN = ("asen_pp", "fused")  # what the variations are compared with


@themed
def method_scores(summary: pd.DataFrame) -> Figure:
    """Draw overall and macro MAP, a line per row of the matrix, in groups of what they vary.

    Args:
        summary: of `asen_tf.tables.summarise`: `method, embedding, attribute, map, seeds, low,
            high`; percent. The embeddings of a row stand closely below each other. A random
            ranking is a dashed line, ASEN++'s fused embedding a dotted one.
    """
    random = summary[summary["method"] == "random"]
    ranked = summary[summary["method"] != "random"]
    order = list(ranked["method"].unique())
    places, headings = lay_out(order)
    tall = 0.29 * (max([*places, 0.0]) + 1.0) + 1.3
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    panels = figure.subplots(1, len(_SCORES), sharey=True)
    for axes, attribute in zip(panels, _SCORES, strict=True):
        rows = ranked[ranked["attribute"] == attribute]
        at = _places(rows, dict(zip(order, places, strict=True)))
        for embedding in rows["embedding"].unique():
            chosen = (rows["embedding"] == embedding).to_numpy()
            part = rows[chosen]
            axes.errorbar(
                part["map"],
                at[chosen],
                xerr=np.abs([part["map"] - part["low"], part["high"] - part["map"]]),
                fmt=_MARKERS.get(embedding, "D"),
                color=COLOURS.get(embedding, "black"),
                markersize=5,
                elinewidth=1.3,
                capsize=2,
                label=embedding,
            )
        main = rows[(rows["method"] == _MAIN[0]) & (rows["embedding"] == _MAIN[1])]
        for value in main["map"] if headings else ():
            colour = COLOURS["fused"]
            axes.axvline(value, color=colour, ls=":", lw=1.3, zorder=1, label="ASEN++ fused")
        for chance in random.loc[random["attribute"] == attribute, "map"]:
            axes.axvline(chance, color=COLOURS["random"], ls="--", lw=1.2, label="random")
        axes.set_title(f"MAP (test), {label(attribute)}", fontsize="x-large")
        axes.set_xlabel("percent", fontsize="large")
        axes.tick_params(labelsize="large")
        name_rows(axes, places, [LABELS.get(name, name) for name in order], headings)
    handles, words = panels[0].get_legend_handles_labels()
    kinds = ("random", "ASEN++ fused")
    known = sorted(zip(words, handles, strict=True), key=lambda pair: pair[0] in kinds)
    legend = figure.legend([handle for _, handle in known], [word for word, _ in known], **_BELOW)
    legend.set_title(f"bars: {_bars(ranked)}", {"size": "large"})
    return figure


def _places(rows: pd.DataFrame, places: dict[str, float]) -> np.ndarray:
    """Return the height of each mark: embeddings of one method closely below each other."""
    rank = rows.groupby("method").cumcount()
    count = rows.groupby("method")["embedding"].transform("size")
    return (rows["method"].map(places) + _APART * (rank - (count - 1) / 2)).to_numpy(float)


def _bars(ranked: pd.DataFrame) -> str:
    """Say what the bars are."""
    seeds = sorted(ranked["seeds"].unique())
    several = f"±1 standard deviation over {seeds[-1] if seeds else 0} seeds"
    alone = "95 % interval over queries"
    if len(seeds) > 1:
        several = "±1 standard deviation over seeds"
    if 1 not in seeds:
        return several
    return alone if len(seeds) == 1 else f"{several}; of one seed, {alone}"
