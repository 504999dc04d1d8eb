"""The design image that a sheet is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from asen_tf.annotations import read_split
from asen_tf.data import ImageError, load_image
from asen_tf.data.images import upright
from asen_tf.evidence.errors import EvidenceError
from asen_tf.files import file_digest


@dataclass(frozen=True)
class Design:
    """An image file, as it was when the sheet was made.

    Attributes:
        path: the file.
        sha256: of its content.
        size: bytes.
        width: px, of the upright image; likewise `height`.
    """

    path: Path
    sha256: str
    size: int
    width: int
    height: int

    @classmethod
    def read(cls, path: Path | str) -> Design:
        """Look at an image file.

        Raises:
            EvidenceError: it is missing or no readable image.
        """
        path = Path(path)
        try:
            load_image(path, 8)  # px: what counts is that all of the file can be decoded
            with Image.open(path) as opened:
                width, height = upright(opened).size
            return cls(path, file_digest(path), path.stat().st_size, width, height)
        except (ImageError, OSError) as error:
            raise EvidenceError(f"the design image cannot be used: {error}") from error


def first_design(
    data_dir: Path | str, dataset: str, attributes: Sequence[str], split: str = "test"
) -> Path:
    """Return an image of a dataset by rule, so that nobody picks a flattering one.

    It is the first image in the split's list that is labelled with most of the attributes.

    Args:
        data_dir: the folder of meta.json and the datasets.
        dataset: its name.
        attributes: names; those that the dataset does not know count for nothing.
        split: "train", "valid" or "test".

    Raises:
        asen_tf.annotations.AnnotationError: a file of the split breaks a rule.
        EvidenceError: the split has no image.
    """
    listed = read_split(data_dir, dataset, split, missing="skip")
    usable = np.ones(len(listed.files), bool)
    usable[list(listed.missing)] = False
    if not usable.any():
        raise EvidenceError(f"the {split} split of {dataset} holds no image; name a design")
    names = listed.attributes.names
    wanted = [names.index(name) for name in dict.fromkeys(attributes) if name in names]
    rows = np.unique(listed.labels[np.isin(listed.labels[:, 1], wanted)][:, :2], axis=0)
    labelled = np.bincount(rows[:, 0], minlength=len(usable))
    return listed.path(int(np.where(usable, labelled, -1).argmax()))
