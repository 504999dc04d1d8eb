"""A dataset on disk, ready for training: split files plus pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asen_tf.data.fitting import Box, name_suffix
from asen_tf.data.images import CachedImages, FileImages, GlobalViews, ImageSource
from asen_tf.data.reading import cache_folder, fingerprint, read_meta, read_split
from asen_tf.data.records import AnnotationError, AttributeTable, Split, regions_filename
from asen_tf.data.regions import boxes_in_square, read_regions, true_squares
from asen_tf.data.sampling import choose_images
from asen_tf.data.shards import PackedImages, read_index


@dataclass(frozen=True)
class SplitImages:
    """One split's annotations and its images at both sizes.

    Attributes:
        split: the annotations.
        sources: `(n, S, S, 3)` uint8 by index, what regions are cut from.
        views: `(n, g, g, 3)` uint8 by index, the global inputs.
        squares: `(n, A, 4)` int32, the square around each attribute's true part in the frame of
            the global input; None unless it was asked for.
    """

    split: Split
    sources: ImageSource
    views: ImageSource
    squares: np.ndarray | None = None


class Dataset:
    """A dataset under the data directory.

    Args:
        data_dir: the directory that holds meta.json and the dataset's folder.
        name: the dataset's folder and its key in meta.json.
        source_size: px, side of the source images.
        global_size: px, side of the global views.
        fit: how an image becomes a square, as for `asen_tf.data.load_image`.
        preprocessing: "ours"; or "release": sources are the whole upright images, read one by one
            from their files at every use, of which models make the release's pixels.
        missing: "error" or "skip", for image files that are not on the disk.
        cache: decode every image once, into `<dataset folder>/.cache`.
        cache_dir: where the cache goes instead if that folder may only be read; None decodes at
            every use, with a warning.
        true_regions: also read the true boxes of the parts.
        packed: take the images from shards (`asen_tf.data.shards`); their files may be absent.
        train_images: use the labels of only this many training images, chosen by
            `asen_tf.data.sampling.choose_images`; 0 uses all.
        seed: of that choice.

    Attributes:
        attributes: names and numbers of values.
        fingerprint: identifies the content of the split files and images.

    Raises:
        asen_tf.data.AnnotationError: for anything wrong with the split files.
    """

    def __init__(
        self,
        data_dir: str | Path,
        name: str,
        *,
        source_size: int,
        global_size: int,
        fit: str = "square",
        preprocessing: str = "ours",
        missing: str = "error",
        cache: bool = True,
        cache_dir: Path | None = None,
        true_regions: bool = False,
        packed: bool = False,
        train_images: int = 0,
        seed: int = 0,
    ) -> None:
        self.data_dir, self.name = Path(data_dir), name
        self.source_size, self.global_size, self.fit = source_size, global_size, fit
        self.missing, self.true_regions = missing, true_regions
        self.whole = preprocessing == "release"
        cache = cache and not self.whole
        self.cache = cache_folder(self.data_dir / name, cache_dir) if cache else None
        if cache and self.cache is None:
            warnings.warn(
                f"{self.data_dir / name} may only be read: images are decoded at every use, which "
                "is slow; allow writing to that folder, or copy it to where you may write",
                stacklevel=2,
            )
        self.attributes: AttributeTable = read_meta(self.data_dir, name)
        self.packed = packed
        self.train_images, self.seed = train_images, seed
        if packed:  # the images' own files need not be on this machine
            shards = read_index(self.data_dir / name, source_size, fit)
            self.fingerprint: str = shards["data_fingerprint"]
        else:
            self.fingerprint = fingerprint(self.data_dir, name, cache_dir)
        self._splits: dict[str, SplitImages] = {}

    def split(self, name: str) -> SplitImages:
        """Return one split; with a cache, its images are decoded into it the first time."""
        if name not in self._splits:
            self._splits[name] = self._load(name)
        return self._splits[name]

    def true_boxes(self, name: str) -> dict[tuple[int, int], Box] | None:
        """Return the true boxes of the parts in one split; None without their file.

        Returns:
            By (image, attribute): left, top, right, bottom as shares in [0, 1] of the side of the
            square image.
        """
        return self._boxes(self.split(name).split)

    def _load(self, name: str) -> SplitImages:
        missing = "ignore" if self.packed else self.missing
        split = read_split(self.data_dir, self.name, name, missing=missing)
        if name == "train" and self.train_images:
            chosen = choose_images(split.labels, self.train_images, seed=self.seed)
            split = replace(split, labels=split.labels[np.isin(split.labels[:, 0], chosen)])
        sources: ImageSource
        if self.packed:
            sources = PackedImages(split.root, name, self.source_size, self.fit)
        else:
            paths = [split.root / file for file in split.files]
            absent = frozenset(split.missing)
            sources = FileImages(paths, self.source_size, fit=self.fit, absent=absent)
        squares = self._squares(split) if self.true_regions else None
        if self.whole:  # the views are for pictures alone
            views = FileImages(paths, self.global_size, absent=absent)
            return SplitImages(split, FileImages(paths, None, absent=absent), views, squares)
        if self.cache is None:
            return SplitImages(split, sources, GlobalViews(sources, self.global_size), squares)
        stem = f"{self.fingerprint[:16]}-{name}-{self.source_size}"
        stem += name_suffix(self.fit) + ("-packed" if self.packed else "")
        sources = CachedImages(
            sources,
            self.cache / f"{stem}.npy",
            description=f"decoding {name} images at {self.source_size} px",
        )
        views: ImageSource = GlobalViews(sources, self.global_size)
        if name != "test":  # whose images a model is given whole, once
            file = self.cache / f"{stem}-{self.global_size}.npy"
            title = f"shrinking {name} images to {self.global_size} px"
            views = CachedImages(views, file, description=title)
        return SplitImages(split, sources, views, squares)

    def _squares(self, split: Split) -> np.ndarray:
        train = read_split(self.data_dir, self.name, "train", missing="ignore")
        boxes, reference = self._boxes(split), self._boxes(train)
        if not (boxes and reference):
            raise AnnotationError(
                "region 'true' needs the true boxes of the parts, in training, too",
                path=split.root / regions_filename("train" if boxes else split.name),
                got="no such file" if None in (boxes, reference) else "no box",
                remedy="use region 'attended', or a dataset that has boxes",
            )
        shape, size = (len(split.files), len(self.attributes)), self.global_size
        return true_squares(boxes, split.labels, reference=reference, shape=shape, size=size)

    def _boxes(self, split: Split) -> dict[tuple[int, int], Box] | None:
        regions = read_regions(self.data_dir, self.name, split.name)
        if regions is None:
            return None
        return boxes_in_square(split, regions, side=self.source_size, fit=self.fit)
