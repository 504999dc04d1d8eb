"""Curves: one run epoch by epoch, many runs over the images seen, results over a setting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from asen_study.figures.style import COLOURS, METHODS, WIDTH, colours_of, themed
from asen_study.matrix import name_of
from asen_tf.data import label

_EMBEDDINGS = ("global", "local", "fused")
_PREFIX = "val_accuracy_"
# Colours of what is no row of the matrix; line styles tell the same lines apart.
_COLOURS = tuple(METHODS.values())
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 1)))
_GREY = "#4D4D4D"
_OUTSIDE = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
_APART = 5.0  # points, between marks at the same value


# === One run ===


@themed
def pretraining_curves(history: pd.DataFrame) -> Figure:
    """Draw the loss of the classification and the validation accuracy of each attribute.

    Args:
        history: of a pretraining run: `epoch`, `loss`, `val_accuracy`, `val_accuracy_<attribute>`.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2, width_ratios=(1, 1.6))
    losses.plot(history["epoch"], history["loss"], color="black", marker="o", markersize=3)
    losses.set(
        title="Naming the values (training)",
        xlabel="epoch",
        ylabel="cross-entropy, nats",
        ylim=(0, None),
    )
    names = [name for name in history if name.startswith(_PREFIX)]
    for position, name in enumerate(names):
        accuracies.plot(
            history["epoch"],
            100 * history[name],
            color=_COLOURS[position % len(_COLOURS)],
            linestyle=_STYLES[position % len(_STYLES)],
            label=label(name.removeprefix(_PREFIX)),
        )
    accuracies.plot(
        history["epoch"], 100 * history["val_accuracy"], color="black", linewidth=2.5, label="all"
    )
    accuracies.set(
        title="Values named correctly (validation)",
        xlabel="epoch",
        ylabel="images, percent",
        ylim=(0, 100),
    )
    accuracies.legend(**_OUTSIDE)
    _whole_epochs(losses, accuracies)
    return figure


@themed
def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw losses and validation MAP over the epochs of both stages.

    Args:
        history: of a method's run: `stage`, `epoch`, `best`, the losses, `val_map_<embedding>`
            (for listed triplets `val_accuracy_<embedding>`).
    """
    history = _continuous(history)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    losses, maps = figure.subplots(1, 2)
    for name in (*_EMBEDDINGS, "alignment"):
        if name in history:
            colour = COLOURS.get(name, _GREY)  # the alignment is no embedding
            losses.plot(history["time"], history[name], "o-", color=colour, ms=3, label=name)
    losses.set(title="Training losses", ylabel="loss, cosine units", ylim=(0, None))
    score = "val_map" if "val_map" in history else "val_accuracy"
    for name in _EMBEDDINGS:
        column = f"{score}_{name}"
        if column in history:
            maps.plot(history["time"], history[column], "o-", color=COLOURS[name], ms=3, label=name)
    last = history["stage"].iloc[-1]
    best = history[history["best"] & (history["stage"] == last)]
    maps.plot(best["time"], best[score], "*", color="black", ms=11, label="kept", linestyle="none")
    unit = "MAP" if score == "val_map" else "triplets ranked correctly"
    title = "Validation MAP" if score == "val_map" else "Validation accuracy"
    maps.set(title=title, ylabel=f"{unit}, percent")
    for axes in (losses, maps):
        _mark_stages(axes, history)
        if axes.lines:  # what is not trained has no loss
            axes.legend()
    return figure


@themed
def attention_curves(history: pd.DataFrame) -> Figure:
    """Draw the region's mean side and the attention's mean entropy over the epochs.

    Args:
        history: as for `learning_curves`, with `val_region_side` and `val_entropy`, shares.
    """
    history = _continuous(history)
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    sides, entropies = figure.subplots(1, 2)
    for axes, column, title, unit in (
        (sides, "val_region_side", "How large the region is", "side, percent of the frame's"),
        (
            entropies,
            "val_entropy",
            "How spread the attention is",
            "entropy, percent of a flat map's",
        ),
    ):
        axes.plot(history["time"], 100 * history[column], "o-", color=COLOURS["global"], ms=3)
        axes.set(title=f"{title} (validation)", ylabel=unit, ylim=(0, 102))
        _mark_stages(axes, history, height=0.02)  # the titles are too long for it beside them
    return figure


# === Many runs: bands and bars are over seeds ===


@themed
def training_bands(table: pd.DataFrame) -> Figure:
    """Draw MAP on the validation split against the images seen, a line per method.

    Args:
        table: `label, seed, images, val_map`; percent. Without `label`, `method` names the lines.
            With `stage`, a dotted line marks the beginning of the second of two stages.
    """
    names = table["label"] if "label" in table else table["method"].map(name_of)
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    thousands = table.assign(images=table["images"] / 1000.0)
    colours = colours_of(table["method"]) if "method" in table else {}
    for place, name in enumerate(names.unique()):
        part = thousands[names == name]
        row = part["method"].iloc[0] if colours else ""
        _band(
            axes,
            part,
            "images",
            "val_map",
            colour=colours.get(row, _COLOURS[place % len(_COLOURS)]),
            style=_STYLES[place % len(_STYLES)],
            name=name,
        )
    axes.set(
        title="How fast each method learns",
        xlabel="images seen, thousands",
        ylabel="MAP on the validation split, percent",
        xlim=(0, None),
    )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
    _mark_second_stages(axes, thousands.assign(name=names))
    axes.legend(**_OUTSIDE, handlelength=3.2, **_meaning("bands", table))
    return figure


@themed
def fusion_sweep(table: pd.DataFrame, *, chosen: float = 0.6) -> Figure:
    """Draw MAP on the validation split against the fusion weight, a line per method.

    Args:
        table: `fusion.csv`: `method, seed, weight, map`; percent.
        chosen: the weight that the study uses.
    """
    figure = Figure(figsize=(0.75 * WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (method, colour) in enumerate(colours_of(table["method"]).items()):
        rows = table[table["method"] == method]
        style = _STYLES[place % len(_STYLES)]
        _band(axes, rows, "weight", "map", colour=colour, style=style, name=name_of(method))
    _mark(axes, chosen, f"the study's weight, {chosen:g}")
    axes.set(
        title="What fusing the two branches brings",
        xlabel="weight of the global branch; 0 is the local one alone",
        ylabel="MAP on the validation split, percent",
    )
    axes.legend(**_OUTSIDE, **_meaning("band", table))
    return figure


@themed
def setting_sweep(table: pd.DataFrame, *, setting: str, chosen: float) -> Figure:
    """Draw overall MAP on the test split against a setting, a line per embedding.

    Args:
        table: `value, embedding, seed, map`; percent.
        setting: what varies, with its unit: the label of the axis.
        chosen: the value that the study uses.
    """
    figure = Figure(figsize=(0.75 * WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    styles = {"global": "s--", "local": "^-.", "fused": "o-"}
    count = table["embedding"].nunique()
    for place, (embedding, rows) in enumerate(table.groupby("embedding", sort=False)):
        grouped = rows.groupby("value")["map"]
        mean, spread = grouped.mean(), grouped.std(ddof=1)
        colour = COLOURS[embedding]
        # Marks at the same value are drawn side by side: their bars would hide each other.
        aside = _APART * (place - (count - 1) / 2) / 72.0
        moved = axes.transData + ScaledTranslation(aside, 0.0, figure.dpi_scale_trans)
        style = {"color": colour, "ms": 5, "label": embedding, "transform": moved}
        axes.plot(mean.index, mean, styles[embedding], **style)
        # One seed has no deviation: it gets no bar, since a bar of length zero would look exact.
        bars = {"fmt": "none", "ecolor": colour, "capsize": 3, "lw": 1.2, "transform": moved}
        axes.errorbar(mean.index, mean, spread, **bars)
        for edge in (mean - spread.fillna(0.0), mean + spread.fillna(0.0)):
            axes.update_datalim(list(edge.items()))  # autoscaling ignores moved marks
    _mark(axes, chosen, f"the study's value, {chosen:g}")
    axes.autoscale_view()
    values = sorted(table["value"].unique())
    axes.set_xticks(values, [f"{value:g}" for value in values])
    title = f"What the {setting.split(',')[0]} does to each embedding"
    axes.set(title=title, xlabel=setting, ylabel="MAP over all test queries, percent")
    axes.legend(**_OUTSIDE, **_meaning("bars", table))
    return figure


@themed
def label_curves(table: pd.DataFrame) -> Figure:
    """Draw macro MAP on the test split against the number of labelled training images.

    Args:
        table: `method, seed, train_images, attribute, map`; percent. What needs no labels, with 0
            images, is a level line.
    """
    rows = table[table["attribute"] == "macro"]
    figure = Figure(figsize=(0.75 * WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    colours, ticks = colours_of(rows["method"]), []
    for place, (method, part) in enumerate(rows.groupby("method", sort=False)):
        style = {"style": _STYLES[place], "name": name_of(method)}
        if (part["train_images"] == 0).all():
            line = {"color": colours[method], "ls": style["style"], "label": style["name"]}
            axes.axhline(part["map"].mean(), **line)
            continue
        # All images are not equally many in each fold.
        size = part.groupby("seed")["train_images"].rank(method="dense").astype(int)
        sizes = part.groupby(size)["train_images"].transform("mean").round()
        drawn = part.assign(train_images=sizes)
        _band(axes, drawn, "train_images", "map", colour=colours[method], **style)
        ticks = sorted(sizes.unique())
    words = [f"{tick:g}" for tick in ticks]
    if len(ticks) > 1:
        words[-1] = f"all, {words[-1]}"
        if ticks[-1] < 1.5 * ticks[-2]:  # no room for both
            words[-2] = ""
    axes.set_xscale("log")
    axes.set_xticks(ticks, words)
    axes.minorticks_off()
    axes.set(
        title="What more labels bring, macro",
        xlabel="labelled training images, logarithmic",
        ylabel="MAP on the test split, percent",
    )
    axes.legend(**_OUTSIDE, **_meaning("bands", rows))
    return figure


# === Shared parts ===


def _continuous(history: pd.DataFrame) -> pd.DataFrame:
    """Number the epochs of all stages consecutively, in a column `time`."""
    return history.assign(time=np.arange(1, len(history) + 1), best=history["best"].astype(bool))


def _mark_stages(axes: Axes, history: pd.DataFrame, height: float = 1.0) -> None:
    """Draw a line between the stages and name them on either side of it."""
    axes.set_title(axes.get_title("left"), pad=16)  # above the names of the stages
    several = history["stage"].nunique() > 1
    axes.set_xlabel("epoch, counted over both stages" if several else "epoch")
    _whole_epochs(axes)
    stages = history["stage"].str.replace("stage", "stage ")
    for at in np.flatnonzero(stages.ne(stages.shift(-1)))[:-1]:
        time = history["time"].iloc[at]
        axes.axvline(time + 0.5, color=_GREY, linestyle=":", linewidth=1)
        axes.annotate(
            " | ".join(stages.iloc[at : at + 2]),
            (time + 0.5, height),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize="small",
        )


def _whole_epochs(*many: Axes) -> None:
    for axes in many:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _band(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, *, colour: str, style: object, name: str
) -> None:
    """Draw the mean over seeds, in a band of plus and minus one standard deviation.

    There is no band where only one seed has a value.
    """
    grouped = rows.groupby(x)[y]
    mean, spread = grouped.mean(), grouped.std(ddof=1)
    markers = "o" if len(mean) <= 12 else None
    axes.plot(mean.index, mean, marker=markers, ms=3.5, color=colour, ls=style, lw=1.6, label=name)
    if spread.notna().any():
        axes.fill_between(
            mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
        )


def _mark_second_stages(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a line where the second stage of two-stage methods begins, and name the methods."""
    if "stage" not in table:
        return
    ends = table[table["stage"] == "stage1"].groupby("name", sort=False)["images"].max()
    for end, names in ends.groupby(ends, sort=False).groups.items():
        axes.axvline(end, color=_GREY, linestyle=":", linewidth=1.2, zorder=1)
        axes.annotate(
            f"stage 2 of {' and '.join(names)} begins" if len(names) <= 2 else "stage 2 begins",
            (end, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize="small",
        )


def _meaning(what: str, table: pd.DataFrame) -> dict[str, str]:
    """Return a legend title that explains bars or bands; empty where there are none."""
    lines = [name for name in ("label", "method", "value") if name in table]
    found = table.groupby(lines)["seed"].nunique() if lines else [table["seed"].nunique()]
    counts = {count for count in found if count > 1}  # one seed has no band
    if not counts:
        return {}
    seeds = f"{max(counts)} seeds or folds" if len(counts) == 1 else "seeds or folds"
    return {"title": f"{what}: ±1 standard deviation\nover {seeds}", "alignment": "left"}


def _mark(axes: Axes, chosen: float, name: str) -> None:
    axes.axvline(chosen, color="black", linestyle=":", linewidth=1.6, zorder=1, label=name)
