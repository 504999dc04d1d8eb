"""A folder like that of the published Clothing Attribute Dataset: drawn stripes, made labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from data_prep.clothing_attributes import VALUES

PATTERNS = ("solid", "floral", "spot", "graphics", "plaid", "stripe")


def draw(folder: Path, count: int = 150) -> None:
    """Write `count` images and their labels; a stripe's brightness shows each attribute's value."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    labels = {name: rng.integers(1, len(values) + 1, count) for name, values in VALUES.items()}
    kinds = rng.integers(0, len(PATTERNS), count)
    for name, values in labels.items():
        file = "sleevelength" if name == "sleeve_length" else name
        column = np.where(rng.random(count) < 0.1, np.nan, values)
        scipy.io.savemat(folder / "labels" / f"{file}_GT.mat", {"GT": column[:, None]})
    for at, name in enumerate(PATTERNS):
        column = 1.0 + (kinds == at)
        scipy.io.savemat(folder / "labels" / f"pattern_{name}_GT.mat", {"GT": column[:, None]})
    for index in range(count):
        stripes = [labels[name][index] / len(VALUES[name]) for name in VALUES]
        stripes.append(kinds[index] / len(PATTERNS))
        rows = np.repeat(np.uint8(255 * np.array(stripes)), 8)
        pixels = np.repeat(rows[:, None], 64, axis=1)
        Image.fromarray(pixels).save(folder / "images" / f"{index + 1:06d}.jpg")
