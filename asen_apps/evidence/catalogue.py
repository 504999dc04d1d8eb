"""The catalogue that a design is compared with: its files, and what identifies them.

The one error of the evidence sheet.

The design image that a sheet is about.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from asen_tf.data import read_split
from asen_tf.data.images import ImageError, load_image, upright
from asen_tf.files import file_digest


class EvidenceError(ValueError):
    """A design, a catalogue or a wish that no sheet can be made from."""


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
        asen_tf.data.AnnotationError: a file of the split breaks a rule.
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


SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Catalogue:
    """Image files that can be used, in a fixed order.

    Attributes:
        root: their folder.
        names: their paths relative to it, with slashes.
        digests: SHA-256 of each file's content.
        left_out: by name, why a file cannot be used.
    """

    root: Path
    names: tuple[str, ...]
    digests: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path | str, *, progress: bool = False) -> Catalogue:
        """Take all images of a folder and the folders in it, by name; hidden ones do not count.

        Raises:
            EvidenceError: there is no such folder, or no image in it that can be used.
        """
        root = Path(folder)
        if not root.is_dir():
            raise EvidenceError(f"the catalogue must be a folder of images; got {root}")
        found = []
        for place, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = Path(place).relative_to(root)
            found += [
                (inside / name).as_posix()
                for name in files
                if name.lower().endswith(SUFFIXES) and not name.startswith(".")
            ]
        return cls.of_files(root, sorted(found), progress=progress)

    @classmethod
    def of_split(
        cls, data_dir: Path | str, dataset: str, split: str = "test", *, progress: bool = False
    ) -> Catalogue:
        """Take the images of one split of a dataset, in the order of its list; each one once.

        Raises:
            asen_tf.data.AnnotationError: a file of the split breaks a rule.
            EvidenceError: no image can be used.
        """
        listed = read_split(data_dir, dataset, split, missing="skip")
        absent = set(listed.missing)
        names = [name for row, name in enumerate(listed.files) if row not in absent]
        return cls.of_files(listed.root, dict.fromkeys(names), progress=progress)

    @classmethod
    def of_files(
        cls, root: Path | str, names: Iterable[str], *, progress: bool = False
    ) -> Catalogue:
        """Take files by name; those that are no readable image are left out, with the reason.

        Raises:
            EvidenceError: no image can be used.
        """
        root, names, used, left_out = Path(root), list(names), {}, {}
        home = os.path.realpath(root)
        for name in tqdm(names, desc="reading the catalogue", disable=not progress):
            path = root / name
            if not os.path.realpath(path).startswith(home + os.sep):
                left_out[name] = "leads out of the catalogue's folder; copy the file into it"
                continue
            try:
                load_image(path, 8)  # px: what counts is that all of the file can be decoded
                used[name] = file_digest(path)
            except (ImageError, OSError) as error:
                left_out[name] = str(error).removeprefix(f"{path}: ")
        if not used:
            kinds = ", ".join(SUFFIXES)
            why = f"; {next(iter(left_out.values()))}" if left_out else ""
            raise EvidenceError(
                f"the catalogue must hold images ({kinds}); got {len(left_out)} files in {root}, "
                f"none that can be used{why}"
            )
        return cls(root, tuple(used), tuple(used.values()), left_out)

    def __len__(self) -> int:
        """Return the number of files that can be used."""
        return len(self.names)

    @property
    def paths(self) -> list[Path]:
        """The files' paths, in order."""
        return [self.root / name for name in self.names]

    @property
    def repeated(self) -> int:
        """How many files have the same content as an earlier one."""
        return len(self.digests) - len(set(self.digests))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the files' contents, whatever their names and their order.

        It is the digest of all files' digests, sorted, a line each: what a shell gives by
        `sha256sum FILES | cut -c 1-64 | sort | sha256sum`.
        """
        lines = "".join(f"{digest}\n" for digest in sorted(self.digests))
        return hashlib.sha256(lines.encode()).hexdigest()
