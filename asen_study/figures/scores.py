"""The numbers of the tables, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.matrix import LABELS
from asen_tf.data import label


@themed
def value_counts(report: Mapping[str, Any], *, split: str = "train") -> Figure:
    """Draw how many labels each value of each attribute has.

    Args:
        report: of `data_prep.check.check`.
        split: "train" counts labels, "valid" and "test" candidates.
    """
    counted = report["splits"][split]["values"]
    counts = counted["labels" if split == "train" else "candidates"]
    names = report["value_names"] or {}
    longest = max(map(len, counts.values()))
    shares = np.full((len(counts), longest), np.nan)
    texts = np.full(shares.shape, "", dtype=object)
    for row, (attribute, numbers) in enumerate(counts.items()):
        words = names.get(attribute) or map(str, range(len(numbers)))
        shares[row, : len(numbers)] = 100 * np.array(numbers) / max(sum(numbers), 1)
        texts[row, : len(numbers)] = [
            f"{word.replace(' ', chr(10))}\n{number}"
            for word, number in zip(words, numbers, strict=True)
        ]
    figure = Figure(figsize=(WIDTH, 0.72 * len(counts) + 0.8), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        shares,
        ax=axes,
        annot=texts if longest <= 20 else False,
        fmt="",
        annot_kws={"fontsize": 6.5},
        cmap="Blues",
        vmin=0,
        linewidths=0.5,
        yticklabels=[label(name) for name in counts],
        cbar_kws={"label": "percent of the attribute's labels"},
    )
    axes.set(title=f"Labels per value ({split})", xlabel="value, by index")
    axes.tick_params(axis="y", rotation=0)
    return figure


@themed
def map_scores(summary: pd.DataFrame) -> Figure:
    """Draw MAP per attribute and embedding, with intervals; random as a mark.

    Args:
        summary: of `asen_study.tables.summarise`: `series`, `method`, `embedding`, `attribute`,
            `map`, `low`, `high`; percent.
    """
    ranked = summary[summary["method"] != "random"]
    random = summary[summary["method"] == "random"]
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    _bars(axes, ranked, palette=_palette(ranked), value="map")
    places = range(random["attribute"].nunique())
    axes.hlines(
        random["map"],
        [place - 0.45 for place in places],
        [place + 0.45 for place in places],
        color=COLOURS["random"],
        linestyle="--",
        label="random (exact)",
    )
    axes.set(title="MAP on the test split", xlabel="", ylabel="percent", ylim=(0, 100))
    _finish(axes, ranked["attribute"].unique())
    return figure


@themed
def localisation_scores(table: pd.DataFrame) -> Figure:
    """Draw how well attention and region meet the true boxes, beside the centre baseline.

    Args:
        table: `localisation.csv`: `method`, `seed`, `attribute`, `pointing`, `iou`,
            `centre_pointing`, `centre_iou`; percent. Seeds are averaged.
    """
    keys = ["method", "attribute"]
    means = table.drop(columns="seed").groupby(keys, sort=False, as_index=False).mean()
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2),
        ("pointing", "iou"),
        ("Attention maximum inside the part's box", "Overlap (IoU) of region and box"),
        strict=True,
    ):
        names = means["method"].map(lambda name: LABELS.get(name, name))
        bars = means.assign(series=names)
        _bars(axes, bars, palette=_palette(bars.assign(embedding="global")), value=column)
        centre = means.groupby("attribute", sort=False)[f"centre_{column}"].mean()
        places = np.arange(len(centre))
        axes.hlines(
            centre,
            places - 0.45,
            places + 0.45,
            color=COLOURS["centre"],
            linestyle="--",
            label="frame's centre",
        )
        axes.set(title=title, xlabel="", ylabel="percent", ylim=(0, 100))
        _finish(axes, centre.index)
    return figure


def _bars(axes, table: pd.DataFrame, *, palette: dict[str, Any], value: str) -> None:
    """Draw grouped bars; with columns `low` and `high`, their intervals."""
    sns.barplot(
        table, x="attribute", y=value, hue="series", palette=palette, ax=axes, errorbar=None
    )
    if "low" not in table:
        return
    for bars, series in zip(list(axes.containers), palette, strict=True):
        rows = table[table["series"] == series]
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        reach = np.abs(np.stack([rows[value] - rows["low"], rows["high"] - rows[value]]))
        axes.errorbar(middles, rows[value], reach, fmt="none", ecolor="black", elinewidth=1)


def _palette(table: pd.DataFrame) -> dict[str, Any]:
    """Colour each series: an embedding's own colour with one method, else one per series."""
    series = table.drop_duplicates("series")
    if series["method"].nunique() == 1:
        return {row.series: COLOURS[row.embedding] for row in series.itertuples()}
    return dict(zip(series["series"], sns.color_palette("colorblind"), strict=False))


def _finish(axes, attributes) -> None:
    axes.set_xticks(range(len(attributes)), [label(name) for name in attributes])
    axes.tick_params(axis="x", rotation=35)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
