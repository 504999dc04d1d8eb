"""The numbers of each attribute as pictures: how many labels, scores, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_study.figures.comparisons import method_scores
from asen_study.figures.style import COLOURS, WIDTH, colours_of, themed
from asen_study.matrix import name_of
from asen_tf.data import Split, label
from asen_tf.evaluation.ranking import normalise, ranked
from asen_tf.evaluation.retrieval import PairEmbeddings

_WRITTEN = 12  # values of an attribute whose names fit side by side
_BARS = 6  # methods in a figure of bars


@themed
def value_counts(report: Mapping[str, Any]) -> Figure:
    """Draw how many labels each value of each attribute has in the training split.

    Args:
        report: of `data_prep.check.check`.
    """
    counts = report["splits"]["train"]["values"]["labels"]
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
        annot=texts if longest <= _WRITTEN else False,
        fmt="",
        annot_kws={"fontsize": 8},
        cmap="Blues",
        vmin=0,
        linewidths=0.5,
        yticklabels=[label(name) for name in counts],
        cbar_kws={"label": "percent of the attribute's labels"},
    )
    title = "How many images have each value (train split)"
    axes.set(title=title, xlabel="value, by index")
    axes.tick_params(axis="y", rotation=0)
    return figure


@themed
def map_scores(summary: pd.DataFrame) -> Figure:
    """Draw MAP per attribute and embedding, with intervals; random as a mark.

    Bars of more than six methods would be too thin: these are drawn by `method_scores`.

    Args:
        summary: of `asen_study.tables.summarise`: `series`, `method`, `embedding`, `attribute`,
            `map`, `low`, `high`; percent.
    """
    ranked = summary[summary["method"] != "random"]
    random = summary[summary["method"] == "random"]
    if ranked["method"].nunique() > _BARS:
        return method_scores(summary)
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    _draw_bars(axes, ranked, palette=_palette(ranked), value="map")
    places = range(random["attribute"].nunique())
    axes.hlines(
        random["map"],
        [place - 0.45 for place in places],
        [place + 0.45 for place in places],
        color=COLOURS["random"],
        linestyle="--",
        label="random (exact)",
    )
    title = "How well each attribute is retrieved (test split), with 95% intervals"
    if (ranked["seeds"] > 1).any():
        title = "How well each attribute is retrieved (test split), over seeds or folds"
    axes.set(title=title, xlabel="", ylabel="MAP, percent", ylim=(0, 100))
    _finish(axes, ranked["attribute"].unique())
    return figure


@themed
def confusions(
    asked: tuple[str, str],
    *,
    embedded: PairEmbeddings,
    split: Split,
    names: Mapping[str, Sequence[str]] | None,
    first: int = 5,
) -> Figure:
    """Draw which values the first candidates of each query have, a row per value of the query.

    Args:
        asked: an attribute, and the embedding that ranks: of `asen_study.tables.weakest`, say.
        embedded: embeddings of the split's labelled pairs.
        split: queries and candidates.
        names: names of the values by attribute, where they are known.
        first: how many candidates of each query count; all if there are fewer.
    """
    attribute, embedding = asked
    index = split.attributes.names.index(attribute)
    size = split.attributes.sizes[index]
    parts = (rows[rows[:, 1] == index] for rows in (split.queries, split.candidates))
    (asked, query), (held, candidate) = (
        (rows[:, 2], normalise(embedded.arrays[embedding][embedded.rows(rows)])) for rows in parts
    )
    found = held[ranked(query @ candidate.T, top=first)]
    counts = np.zeros((size, size))
    np.add.at(counts, (asked[:, None], found), 1.0)
    shares = 100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    words = list((names or {}).get(attribute, range(size)))
    wide, tall = min(0.55 * size + 3.0, 2 * WIDTH), min(0.45 * size + 1.6, 2 * WIDTH)
    figure = Figure(figsize=(wide, tall), layout="constrained")
    axes = figure.subplots()
    shown = {
        "cmap": "Blues",
        "vmin": 0,
        "vmax": 100,
        "annot": size <= 25,
        "fmt": ".0f",
        "cbar": False,
    }
    sns.heatmap(shares, ax=axes, xticklabels=words, yticklabels=words, **shown)
    axes.set(title=f"{label(attribute)}: values of the first {first} candidates, percent")
    axes.set(xlabel="candidate", ylabel="query")
    return figure


@themed
def localisation_scores(table: pd.DataFrame) -> Figure:
    """Draw how well attention and region match the true boxes, with the centre baseline.

    Args:
        table: `localisation.csv`: `method`, `seed`, `attribute`, `pointing`, `iou`,
            `centre_pointing`, `centre_iou`; percent. Seeds are averaged.
    """
    keys = ["method", "attribute"]
    means = table.drop(columns="seed").groupby(keys, sort=False, as_index=False).mean()
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, column, title, unit in zip(
        panels,
        ("pointing", "iou"),
        ("Attention peaks inside the part", "The region overlaps the part"),
        ("images, percent", "intersection over union, percent"),
        strict=True,
    ):
        bars = means.assign(series=means["method"].map(name_of), embedding="")
        _draw_bars(axes, bars, palette=_palette(bars), value=column)
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
        axes.set(title=title, xlabel="", ylabel=unit, ylim=(0, 100))
        _finish(axes, centre.index)
    panels[0].get_legend().remove()  # one is enough
    return figure


def _draw_bars(axes: Axes, table: pd.DataFrame, *, palette: dict[str, Any], value: str) -> None:
    """Draw grouped bars; with columns `low` and `high`, their intervals."""
    whole = {"errorbar": None, "saturation": 1.0}  # seaborn would pale the colours
    sns.barplot(table, x="attribute", y=value, hue="series", palette=palette, ax=axes, **whole)
    if "low" not in table:
        return
    for bars, series in zip(list(axes.containers), palette, strict=True):
        rows = table[table["series"] == series]
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        reach = np.abs(np.stack([rows[value] - rows["low"], rows["high"] - rows[value]]))
        axes.errorbar(middles, rows[value], reach, fmt="none", ecolor="black", elinewidth=1)


def _palette(table: pd.DataFrame) -> dict[str, Any]:
    """Colour each series: by its embedding where there is one method, else by its method."""
    series = table.drop_duplicates("series")
    # The last embedding of a method is the one that is retrieved with: it has the method's colour.
    rows = pd.concat([part[::-1] for _, part in series.groupby("method", sort=False)])
    colours = colours_of(rows["method"] + ":" + rows["embedding"])
    alone = series["method"].nunique() == 1 and len(series) > 1
    return {
        row.series: COLOURS[row.embedding] if alone else colours[f"{row.method}:{row.embedding}"]
        for row in series.itertuples()
    }


def _finish(axes: Axes, attributes: Sequence[str]) -> None:
    axes.set_xticks(range(len(attributes)), [label(name) for name in attributes])
    axes.tick_params(axis="x", rotation=35)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
