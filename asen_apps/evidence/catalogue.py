"""What is compared: a design image, and a catalogue of image files, as they are on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asen_apps.search.items import find_images
from asen_tf.data import read_split
from asen_tf.data.images import ImageError, load_image, upright_size
from asen_tf.files import file_digest


class EvidenceError(ValueError):
    """No sheet can be made from this design, catalogue or argument."""


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
        """Read an image file; EvidenceError if it is missing or unreadable."""
        path = Path(path)
        try:
            digest = _digest(path)
            return cls(path, digest, path.stat().st_size, *upright_size(path))
        except (ImageError, OSError) as error:
            raise EvidenceError(f"the design image cannot be used: {error}") from error


def first_design(
    data_dir: Path | str, dataset: str, attributes: Sequence[str], split: str = "test"
) -> Path:
    """Return an image of a dataset, chosen by a fixed rule.

    It is the first image in the split's list that is labelled with most of the attributes.

    Args:
        data_dir: the folder of meta.json and the datasets.
        dataset: its name.
        attributes: names; those that the dataset does not have are ignored.
        split: "train", "valid" or "test".

    Raises:
        asen_tf.data.AnnotationError: a file of the split breaks a rule.
        EvidenceError: the split has no image.
    """
    listed = read_split(data_dir, dataset, split, missing="skip")
    usable = np.ones(len(listed.files), bool)
    usable[list(listed.missing)] = False
    if not usable.any():
        raise EvidenceError(f"the {split} split of {dataset} has no images; name a design")
    names = listed.attributes.names
    wanted = [names.index(name) for name in dict.fromkeys(attributes) if name in names]
    rows = np.unique(listed.labels[np.isin(listed.labels[:, 1], wanted)][:, :2], axis=0)
    labelled = np.bincount(rows[:, 0], minlength=len(usable))
    return listed.path(int(np.where(usable, labelled, -1).argmax()))


@dataclass(frozen=True)
class CatalogueFiles:
    """The usable image files of a catalogue, in a fixed order.

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
    def from_folder(cls, folder: Path | str, *, progress: bool = False) -> CatalogueFiles:
        """Take all images in a folder and its subfolders, sorted by name, hidden ones excluded.

        What counts is a file's content, not its suffix; other files are left out, with the reason.

        Raises:
            EvidenceError: there is no such folder, or it has no usable image.
        """
        root = Path(folder)
        if not root.is_dir():
            raise EvidenceError(f"the catalogue must be a folder of images; got {root}")
        names, others = find_images(root)
        return cls.from_files(root, names, others=others, progress=progress)

    @classmethod
    def from_split(
        cls, data_dir: Path | str, dataset: str, split: str = "test", *, progress: bool = False
    ) -> CatalogueFiles:
        """Take the images of one split of a dataset, in the order of its list, each one once.

        Raises:
            asen_tf.data.AnnotationError: a file of the split breaks a rule.
            EvidenceError: no image can be used.
        """
        listed = read_split(data_dir, dataset, split, missing="skip")
        absent = set(listed.missing)
        names = [name for row, name in enumerate(listed.files) if row not in absent]
        return cls.from_files(listed.root, dict.fromkeys(names), progress=progress)

    @classmethod
    def from_files(
        cls,
        root: Path | str,
        names: Iterable[str],
        *,
        others: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> CatalogueFiles:
        """Take files by name; unreadable ones are left out, with the reason.

        Args:
            root: their folder.
            names: paths relative to it, with slashes.
            others: files that are known to be no images, with the reason.
            progress: show a progress bar.

        Raises:
            EvidenceError: no image can be used.
        """
        root, names, used, left_out = Path(root), list(names), {}, dict(others or {})
        for name in tqdm(names, desc="reading the catalogue", disable=not progress):
            path = root / name  # which may be a link to anywhere, as caches of data have them
            try:
                used[name] = _digest(path)
            except (ImageError, OSError) as error:
                left_out[name] = str(error).removeprefix(f"{path}: ")
        if not used:
            first = "".join(f"; {name}: {why}" for name, why in [*left_out.items()][:1])
            raise EvidenceError(
                f"the catalogue must hold images; of {len(left_out)} files in {root}, none can be "
                f"used{first}"
            )
        return cls(root, tuple(used), tuple(used.values()), left_out)

    def __len__(self) -> int:
        """Return the number of usable files."""
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

        It is the digest of all files' digests, sorted, one a line: the output of
        `sha256sum FILES | cut -c 1-64 | sort | sha256sum`.
        """
        lines = "".join(f"{digest}\n" for digest in sorted(self.digests))
        return hashlib.sha256(lines.encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return the SHA-256 of an image file, if it can be decoded completely."""
    load_image(path, 8)  # px: small, since only whether it can be decoded matters
    return file_digest(path)
