"""What happened during training, epoch by epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_tf.data import label

_EMBEDDINGS = ("global", "local", "fused")
_PREFIX = "val_accuracy_"


@themed
def pretraining_curves(history: pd.DataFrame) -> Figure:
    """Draw the classification's loss, and the accuracy per attribute on the validation split.

    Args:
        history: of a backbone's run: `epoch`, `loss`, `val_accuracy`, `val_accuracy_<attribute>`.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2, width_ratios=(1, 1.6))
    losses.plot(history["epoch"], history["loss"], color="black", marker="o", markersize=3)
    losses.set(
        title="Loss (training)", xlabel="epoch", ylabel="cross-entropy, nats", ylim=(0, None)
    )
    names = [name for name in history if name.startswith(_PREFIX)]
    for position, name in enumerate(names):
        accuracies.plot(
            history["epoch"],
            100 * history[name],
            color=f"C{position}",
            linestyle=("-", "--")[position % 2],
            label=label(name.removeprefix(_PREFIX)),
        )
    accuracies.plot(
        history["epoch"], 100 * history["val_accuracy"], color="black", linewidth=2.5, label="all"
    )
    accuracies.set(title="Accuracy (validation)", xlabel="epoch", ylabel="percent", ylim=(0, 100))
    accuracies.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    _whole_epochs(losses, accuracies)
    return figure


@themed
def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw losses and validation MAP over the epochs of both stages.

    Args:
        history: of a method's run: `stage`, `epoch`, `best`, the losses, `val_map_<embedding>`
            (of listed triplets `val_accuracy_<embedding>`).
    """
    history = _continuous(history)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    losses, maps = figure.subplots(1, 2)
    for name in (*_EMBEDDINGS, "alignment"):
        if name in history:
            colour = COLOURS.get(name, "#CC79A7")
            losses.plot(history["time"], history[name], "o-", color=colour, ms=3, label=name)
    losses.set(title="Losses (training)", ylabel="ranking: cosine units", ylim=(0, None))
    score = "val_map" if "val_map" in history else "val_accuracy"
    for name in _EMBEDDINGS:
        column = f"{score}_{name}"
        if column in history:
            maps.plot(history["time"], history[column], "o-", color=COLOURS[name], ms=3, label=name)
    last = history["stage"].iloc[-1]
    best = history[history["best"] & (history["stage"] == last)]
    maps.plot(best["time"], best[score], "*", color="black", ms=11, label="kept", linestyle="none")
    title = "MAP (validation)" if score == "val_map" else "Triplets ranked rightly (validation)"
    maps.set(title=title, ylabel="percent")
    for axes in (losses, maps):
        _mark_stages(axes, history)
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
        (sides, "val_region_side", "Side of the region", "percent of the frame's side"),
        (entropies, "val_entropy", "Entropy of the attention map", "percent of a flat map's"),
    ):
        axes.plot(history["time"], 100 * history[column], "o-", color=COLOURS["global"], ms=3)
        axes.set(title=f"{title} (validation)", ylabel=unit, ylim=(0, 102))
        _mark_stages(axes, history)
    return figure


def _continuous(history: pd.DataFrame) -> pd.DataFrame:
    """Number the epochs through all stages, in a column `time`."""
    return history.assign(time=np.arange(1, len(history) + 1), best=history["best"].astype(bool))


def _mark_stages(axes: Axes, history: pd.DataFrame) -> None:
    """Draw a line where a stage ends, and say which stage is on either side of it."""
    axes.set_xlabel("epoch, counted through both stages")
    _whole_epochs(axes)
    changes = history.index[history["stage"].ne(history["stage"].shift(-1))][:-1]
    for time in history.loc[changes, "time"]:
        axes.axvline(time + 0.5, color="#4D4D4D", linestyle=":", linewidth=1)
        axes.annotate(
            "stage 1 | stage 2",
            (time + 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize="small",
        )


def _whole_epochs(*many: Axes) -> None:
    for axes in many:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
