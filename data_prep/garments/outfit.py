"""What the labels say: the kind of garment, its values, and how an invisible part is hidden.

Values are uniform per attribute and independent of each other except where a garment forbids it:
a strapless garment has no sleeves, off-shoulder sleeves are at least short, and the shape of the
shoulders must show for the three bare-shoulder necklines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_prep.garments.values import (
    COAT_HEMS,
    SKIRT_HEMS,
    SLEEVE_ENDS,
    TROUSER_HEMS,
    VALUES,
    Interval,
)

# A "detail" shows only the neck, a "bust" the garment from the chest up, a "top" from the hips
# up: what lies outside the frame is not named.
KINDS = {
    "detail": 0.18,
    "bust": 0.14,
    "top": 0.14,
    "dress": 0.13,
    "top_skirt": 0.06,
    "top_trousers": 0.07,
    "coat": 0.17,
    "skirt": 0.05,
    "trousers": 0.06,
}
CROPPED = ("detail", "bust", "top")
SUPPORTS = {"person": 0.7, "mannequin": 0.14, "form": 0.1, "hanger": 0.06}
STRAPLESS, STRAIGHT, OFF_SHOULDER, ONE_SHOULDER = 1, 3, 6, 9
SLEEVELESS, CUP, SHORT, ELBOW, WRIST = 1, 2, 3, 4, 6
MIN_VISIBLE = 0.45  # u of a lower garment that must show below a coat for its length to be labelled


@dataclass(frozen=True)
class Outfit:
    """Values and drawn geometry of one image; lengths in u (see `values`).

    `labels` maps attribute to value index. `hidden` maps an attribute with value 0 to the way
    it is hidden: "frame" or "object" for hems, "cape", "panels" or "frame" for sleeves, "scarf",
    "hair" or "frame" for neck parts. `neck` is (attribute, value) of the drawn construction;
    value 0 draws a plain garment under what hides it. A hem or sleeve of 0.0 means there is none.
    """

    kind: str
    support: str
    labels: dict[str, int]
    hidden: dict[str, str] = field(default_factory=dict)
    neck: tuple[str, int] = ("", 0)
    straps: bool = False
    skirt_hem: float = 0.0
    trouser_hem: float = 0.0
    coat_hem: float = 0.0
    sleeve_end: float = 0.0


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Return a key of `weights` with probability proportional to its weight."""
    at = rng.random() * sum(weights.values())
    for name, weight in weights.items():
        at -= weight
        if at < 0:
            return name
    return name


def _within(rng: np.random.Generator, interval: Interval) -> float:
    return float(rng.uniform(*interval))


def _hem(rng: np.random.Generator, hems: dict[int, Interval], value: int) -> float:
    """Return the y of a hem; a hidden one (value 0) is any that ends below what hides it."""
    if value == 0:
        value = int(rng.choice([v for v, (low, _) in hems.items() if low > 4.0]))
    return _within(rng, hems[value])


def _sleeve_value(rng: np.random.Generator, kind: str, neck: tuple[str, int]) -> int:
    weights = np.ones(len(VALUES["sleeve_length"]))
    if kind == "bust":  # longer sleeves leave the frame
        weights[SHORT + 1 :] = 0.0
    if neck[0] == "neckline_design":
        weights[SLEEVELESS] = 0.55  # strapless garments add to this value
        if neck[1] == STRAPLESS:
            return SLEEVELESS
        if neck[1] == OFF_SHOULDER:
            weights[: CUP + 1] = 0.0
        if neck[1] == ONE_SHOULDER:
            weights[0] = 0.0
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def _lower_weights(kind: str, below: str) -> np.ndarray:
    """Return the chances of skirt or trouser lengths; a coat shows some lengths more than others.

    Without a coat, trousers are drawn more often in the lengths that show less often below one, so
    over all images the labels are nearly uniform.
    """
    weights = np.array([1.4, 1.3, 0.95, 0.8, 0.65, 0.9] if below == "trousers" else [1.0] * 6)
    if kind == "coat":
        weights = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    return weights / weights.sum()


def _neck(rng: np.random.Generator, kind: str) -> tuple[str, int]:
    if kind == "coat":
        weights = {"lapel_design": 0.82, "collar_design": 0.18}
    elif kind in ("detail", "bust"):
        weights = {"neckline_design": 0.36, "collar_design": 0.2}
        weights |= {"neck_design": 0.2, "lapel_design": 0.24}
    else:
        weights = {"neckline_design": 0.48, "collar_design": 0.25, "neck_design": 0.27}
    attribute = pick(rng, weights)
    return attribute, int(rng.integers(len(VALUES[attribute])))


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Sample one outfit; every random number comes from `rng`."""
    kind, support = pick(rng, KINDS), pick(rng, SUPPORTS)
    upper = kind not in ("skirt", "trousers")
    labels: dict[str, int] = {}
    hidden: dict[str, str] = {}
    neck, straps, sleeve_end = ("", 0), False, 0.0
    skirt_hem = trouser_hem = coat_hem = 0.0

    # Lower garment and coat.
    below = {"dress": "skirt", "top_skirt": "skirt", "top_trousers": "trousers"}.get(kind, kind)
    if kind == "coat" or kind in CROPPED:
        below = "skirt" if rng.random() < 0.45 else "trousers"
    if kind == "coat":
        labels["coat_length"] = int(rng.integers(len(VALUES["coat_length"])))
        coat_hem = _hem(rng, COAT_HEMS, labels["coat_length"])
    name, hems = ("skirt_length", SKIRT_HEMS) if below == "skirt" else ("pant_length", TROUSER_HEMS)
    value = int(rng.choice(len(VALUES[name]), p=_lower_weights(kind, below)))
    hem = _hem(rng, hems, value)
    shown = labels.get("coat_length") != 0 and hem > coat_hem + MIN_VISIBLE
    if kind not in CROPPED and (kind != "coat" or shown):
        labels[name] = value
    if below == "skirt":
        skirt_hem = hem
    else:
        trouser_hem = hem
    if below == "trousers" and support == "form":
        support = "mannequin"  # a dress form has no legs
    cut_below = kind in CROPPED
    for attribute in ("skirt_length", "coat_length", "pant_length"):
        if labels.get(attribute) == 0:
            hidden[attribute] = pick(rng, {"frame": 0.6, "object": 0.4})
            cut_below = hidden[attribute] == "frame"

    # Upper garment.
    if upper:
        neck = _neck(rng, kind)
        labels[neck[0]] = neck[1]
        if kind in ("detail", "bust") and neck[0] == "lapel_design":
            coat_hem = _within(rng, COAT_HEMS[int(rng.integers(2, len(COAT_HEMS) + 1))])
        if support == "hanger" and neck[0] == "neckline_design":
            support = "mannequin" if below == "trousers" else "form"  # bare shoulders need a body
        sleeve = _sleeve_value(rng, kind, neck)
        if kind != "detail":
            labels["sleeve_length"] = sleeve
        shortest = WRIST if kind == "bust" else SLEEVELESS  # of those that are hidden
        sleeve_end = _within(rng, SLEEVE_ENDS[sleeve or int(rng.integers(shortest, 9))])
        straps = sleeve == SLEEVELESS and bool(rng.random() < 0.5)
        if labels.get("sleeve_length") == 0:
            ways = {"frame": 1.0} if kind == "bust" else {"cape": 0.6, "panels": 0.4}
            hidden["sleeve_length"] = pick(rng, ways)
        if neck[1] == 0:
            ways = {"scarf": 0.4}
            if support == "person":
                ways["hair"] = 0.35
            if sleeve >= ELBOW and not cut_below and neck[0] != "lapel_design":
                ways["frame"] = 0.4
            hidden[neck[0]] = pick(rng, ways)
    return Outfit(
        kind=kind,
        support=support,
        labels=labels,
        hidden=hidden,
        neck=neck,
        straps=straps,
        skirt_hem=skirt_hem,
        trouser_hem=trouser_hem,
        coat_hem=coat_hem,
        sleeve_end=sleeve_end,
    )
