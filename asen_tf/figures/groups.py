"""Rows of the matrix in groups of what they vary, as figures list them below each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

# How the names of a group's rows begin; the first that fits counts, any other row is a method.
_BEGINNINGS = {
    "Triplet network, other losses": ("triplet/",),
    "What the local branch sees": ("asen_pp/true_region", "asen_pp/centre_crop"),
    "Threshold of the region (0.1 otherwise)": ("asen_pp/threshold_",),
    "Input of the local branch": ("asen_pp/local_size_",),
    "Parts left out or replaced": ("asen_pp/",),
}
_METHODS = "Methods"
_ORDER = (
    *(_METHODS, "Triplet network, other losses", "Parts left out or replaced"),
    *("What the local branch sees", "Threshold of the region (0.1 otherwise)"),
    "Input of the local branch",
)
_GAP = 0.4  # rows, above a heading


def group_of(row: str) -> str:
    """Return the heading under which a row of the matrix stands."""
    fitting = (heading for heading, starts in _BEGINNINGS.items() if row.startswith(starts))
    return next(fitting, _METHODS)


def lay_out(rows: Sequence[str]) -> tuple[list[float], dict[str, float]]:
    """Place rows below each other, group by group, each group in the order that is given.

    Args:
        rows: names of rows, distinct or not.

    Returns:
        The place of each row, downwards from 0; and the places of the headings, none where there
        is a single group.
    """
    groups = [group_of(row) for row in rows]
    places, headings, below = [0.0] * len(rows), {}, 0.0
    for heading in _ORDER:
        members = [index for index, group in enumerate(groups) if group == heading]
        if members and len(set(groups)) > 1:
            below += _GAP if headings else 0.0
            headings[heading] = below
            below += 1.0
        for index in members:
            places[index] = below
            below += 1.0
    return places, headings


def name_rows(
    axes: Axes, places: Sequence[float], names: Sequence[str], headings: dict[str, float]
) -> None:
    """Name the rows at the left of an axis that goes downwards, the headings in bold."""
    axes.set_yticks([*places, *headings.values()], [*names, *headings])
    for tick in axes.get_yticklabels()[len(names) :]:
        tick.set_fontweight("bold")
    axes.set_ylim(max([*places, *headings.values()], default=0.0) + 0.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    for tick in axes.yaxis.get_major_ticks()[len(names) :]:
        tick.gridline.set_alpha(0.0)
