"""What a sheet says in words: what it is not, how to read it, and what to know of this one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from asen_apps.evidence.records import TOGETHER, Examination
from asen_tf.data import label

WHAT_IT_IS_NOT = (
    "It is no legal judgement: whether a design is protected, and whether another one infringes "
    "it, is not for a model to say.",
    "It is no proof of copying: garments resemble each other through fashion, function, a common "
    "source or by chance, and no number of this sheet tells these apart.",
    "It says how similar one model finds images of this one catalogue. Another model, another "
    "catalogue or another photograph of the same garment gives other numbers.",
    "The model compares pictures, not garments. What the picture does not show (fabric, cut, "
    "make, the back) is not compared, and what is not in the catalogue was not looked at.",
)


def how_to_read(examination: Examination, *, attention: bool) -> dict[str, str]:
    """Return a plain sentence or two for each kind of number, by its name."""
    pairs, items = (examination.settings[name] for name in ("pairs", "neighbours"))
    drawn = "all" if pairs == examination.settings["pairs_possible"] else "drawn by lot"
    sentences = {
        "Similarity": "The cosine of what the model makes of two images for one attribute: 1 for "
        "the same image, lower the more they differ in that attribute; it is no percentage.",
    }
    if len(examination.weights) > 1:
        shares = ", ".join(
            f"{weight:.3g} for {label(name)}" for name, weight in examination.weights.items()
        )
        sentences["Together"] = f"The weighted mean of the attributes' similarities: {shares}."
    sentences |= {
        "Random pairs": f"Of {pairs:,} pairs of different catalogue items ({drawn}), how many are "
        "at least as similar as the design and the item found; the tail probability is (1 + that "
        f"number) / (1 + {pairs:,}), so it is never below {smallest(pairs)}. A small one says that "
        "two items taken at random are rarely so similar.",
        "Nearest neighbours": "The nearest of many items is nearly always more similar than a "
        f"random pair. So {_asked(items, examination.compared)} asked for the nearest neighbour "
        "of its own among the others: how many have one at least as similar, and the tail "
        f"probability (1 + that number) / (1 + {items:,}). A large one says that a neighbour so "
        "near is usual in this catalogue, a small one that it is rare even among nearest "
        "neighbours. Items found after the nearest are held against nearest neighbours, too, "
        "which asks more of them.",
    }
    if attention:
        sentences["Attention and region"] = (
            "Bright places of the attention map are where the model looks for the attribute; the "
            "yellow frame is the region that the map marks, shown from near beside it. They show "
            "where it looks, not why it finds two images alike."
        )
    return sentences | {
        "Caution": "Tail probabilities describe this catalogue. They are not the probability of "
        "anything that happened, and who tries many designs or attributes finds small ones by "
        "chance.",
    }


def notes(examination: Examination, origin: Mapping[str, Any], *, attention: bool) -> list[str]:
    """Return what a reader of this very sheet must know besides."""
    catalogue, design = examination.catalogue, examination.design
    said = []
    if examination.same_files:
        names = ", ".join(examination.same_files)
        left = examination.settings["leave_out_same"]
        done = "left out of the comparison" if left else "compared, and marked"
        said.append(
            f"The same file: the catalogue holds the design's own content as {names}; {done}."
        )
    if catalogue.repeated:
        said.append(
            f"Of {len(catalogue):,} files of the catalogue, {catalogue.repeated:,} repeat the "
            "content of another one: such copies are each other's nearest neighbours, of "
            "similarity 1."
        )
    if catalogue.left_out:
        listed = "; ".join(f"{name}: {why}" for name, why in catalogue.left_out.items())
        said.append(f"Files that could not be compared: {len(catalogue.left_out)}. {listed}.")
    if not examination.tells_attributes_apart:
        said.append(
            "This model knows nothing of attributes: it compares images as a whole, so the "
            "numbers are the same for all attributes."
        )
    if not attention:
        said.append("This model has no attention: maps and regions are left out.")
    if design.width != design.height:
        said.append("The model sees the centre square of an image; of the design, not all of it.")
    if "run" not in origin:
        said.append("Nothing beside the model's file says how it was trained.")
    reached = [
        f"{label(name)} {found['model']:.0f} (a random order: {found['random']:.0f})"
        for name, found in origin.get("map", {}).items()
        if {"model", "random"} <= set(found)
    ]
    if reached:
        said.append(
            "How well the model tells values of the attributes apart, measured as mean average "
            f"precision on its own test images, of 100: {', '.join(reached)}."
        )
    if origin.get("dataset") == "Garments":
        said.append(
            "The model was trained on drawn garments (the dataset Garments): what it finds in "
            "photographs has not been measured."
        )
    return said


def in_words(examination: Examination) -> list[str]:
    """Return one sentence per view on the nearest item."""
    sentences = []
    for view in examination.views:
        best = view.found[0]
        found = best.similarities[view.name]
        together = view.name == TOGETHER
        named = "all named attributes together" if together else label(view.name)
        sentences.append(
            f"In {named}, the nearest of {examination.compared:,} items is {best.name} "
            f"(similarity {found.value:.3f}): {_count(found.random.at_least)} of "
            f"{found.random.of:,} random pairs are at least as similar, and "
            f"{_count(found.nearest.at_least)} of {found.nearest.of:,} catalogue items have a "
            "nearest neighbour at least as similar."
        )
    return sentences


def smallest(number: int) -> str:
    """Return the smallest tail probability that so many references can give, as text."""
    return probability(1 / (1 + number))


def probability(value: float) -> str:
    """Return a probability with two digits that count, never as a power of ten."""
    value = float(f"{value:.1e}")
    return f"{value:.{max(2, 1 - math.floor(math.log10(value)))}f}"


def _asked(items: int, compared: int) -> str:
    if items == compared:
        return f"each of the {items:,} catalogue items compared was"
    return f"{items:,} catalogue items, drawn by lot, were each"


def _count(number: int) -> str:
    return f"{number:,}" if number else "none"
