"""How results depend on a setting, and on how long was trained; bands are over seeds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.matrix import LABELS

# Colours that all kinds of colour vision tell apart, and line styles that repeat what they say.
_COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 1)))
_OUTSIDE = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
_APART = 5.0  # points, between marks at the same value


@themed
def fusion_sweep(table: pd.DataFrame, *, chosen: float = 0.6) -> Figure:
    """Draw MAP on the validation split against the fusion weight, a line per method.

    Args:
        table: `fusion.csv`: `method, seed, weight, map`; percent.
        chosen: the weight that the study uses.
    """
    figure = Figure(figsize=(0.75 * WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    methods = list(table["method"].unique())
    for place, method in enumerate(methods):
        colour = COLOURS["fused"] if len(methods) == 1 else _COLOURS[place % len(_COLOURS)]
        rows = table[table["method"] == method]
        style = _STYLES[place % len(_STYLES)]
        _band(axes, rows, "weight", "map", colour=colour, style=style, name=_words(method))
    _mark(axes, chosen, f"the study's weight, {chosen:g}")
    axes.set(
        title="MAP of the fused embedding (validation)",
        xlabel="weight of the global branch; 0 is the local one alone",
        ylabel="percent",
    )
    axes.legend(**_OUTSIDE, **_meaning("band", table))
    return figure


@themed
def setting_sweep(table: pd.DataFrame, *, setting: str, chosen: float) -> Figure:
    """Draw MAP over all queries of the test split against a setting, a line per embedding.

    Args:
        table: `value, embedding, seed, map`; percent.
        setting: what varies, with its unit, as the axis says it.
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
        # Beside each other on the paper, though at the same value: bars would hide each other.
        aside = _APART * (place - (count - 1) / 2) / 72.0
        moved = axes.transData + ScaledTranslation(aside, 0.0, figure.dpi_scale_trans)
        style = {"color": colour, "ms": 5, "label": embedding, "transform": moved}
        axes.plot(mean.index, mean, styles[embedding], **style)
        # One seed has no deviation: no bar then, rather than one of length zero that looks exact.
        bars = {"fmt": "none", "ecolor": colour, "capsize": 3, "lw": 1.2, "transform": moved}
        axes.errorbar(mean.index, mean, spread, **bars)
        for edge in (mean - spread.fillna(0.0), mean + spread.fillna(0.0)):
            axes.update_datalim(list(edge.items()))  # axes do not look for what is moved
    _mark(axes, chosen, f"the study's value, {chosen:g}")
    axes.autoscale_view()
    values = sorted(table["value"].unique())
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set(title="MAP over all queries (test)", xlabel=setting, ylabel="percent")
    axes.legend(**_OUTSIDE, **_meaning("bars", table))
    return figure


@themed
def training_bands(table: pd.DataFrame) -> Figure:
    """Draw MAP on the validation split against the images seen, a line per method.

    Args:
        table: `label, seed, images, val_map`; percent. Without `label`, `method` names the lines.
            With `stage`, a dotted line says where the second one of two begins.
    """
    names = table["label"] if "label" in table else table["method"].map(_words)
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    thousands = table.assign(images=table["images"] / 1000.0)
    for place, name in enumerate(names.unique()):
        _band(
            axes,
            thousands[names == name],
            "images",
            "val_map",
            colour=_COLOURS[place % len(_COLOURS)],
            style=_STYLES[place % len(_STYLES)],
            name=name,
        )
    axes.set(
        title="MAP during training (validation)",
        xlabel="images seen, thousands",
        ylabel="percent",
        xlim=(0, None),
    )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
    _mark_second_stages(axes, thousands.assign(name=names))
    axes.legend(**_OUTSIDE, handlelength=3.2, **_meaning("bands", table))
    return figure


def _band(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, *, colour: str, style: object, name: str
) -> None:
    """Draw the mean over seeds, in a band of plus and minus their standard deviation.

    Where only one seed has a value, there is no band.
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
    """Draw a line where the second stage of methods of two stages begins, and name them."""
    if "stage" not in table:
        return
    ends = table[table["stage"] == "stage1"].groupby("name", sort=False)["images"].max()
    for end, names in ends.groupby(ends, sort=False).groups.items():
        axes.axvline(end, color="#4D4D4D", linestyle=":", linewidth=1.2, zorder=1)
        axes.annotate(
            f"stage 2 of {', '.join(names)} begins",
            (end, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize="small",
        )


def _meaning(what: str, table: pd.DataFrame) -> dict[str, str]:
    """Return a legend's title that says what bars or bands are; nothing where there are none."""
    seeds = table["seed"].nunique()
    if seeds < 2:
        return {}
    return {"title": f"{what}: ±1 standard deviation\nover {seeds} seeds", "alignment": "left"}


def _mark(axes: Axes, chosen: float, name: str) -> None:
    axes.axvline(chosen, color="black", linestyle=":", linewidth=1.6, zorder=1, label=name)


def _words(method: str) -> str:
    return LABELS.get(method, method)
