"""A dataset on disk, ready for training: split files plus pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asen_tf.config import ExperimentConfig
from asen_tf.data.fitting import Box, name_suffix
from asen_tf.data.images import PIXELS, CachedImages, FileImages, GlobalViews, ImageSource
from asen_tf.data.reading import cache_folder, fingerprint, read_meta, read_split
from asen_tf.data.records import AnnotationError, AttributeTable, Split, regions_filename
from asen_tf.data.regions import boxes_in_square, read_regions, true_squares
from asen_tf.data.sampling import choose_images
from asen_tf.data.shards import PackedImages, packed_fingerprint


def data_fingerprint(
    data_dir: str | Path, config: ExperimentConfig, cache_dir: Path | None = None
) -> str:
    """Return what identifies the content that a configuration reads: of packed data the shards.

    Args:
        data_dir: the directory that holds meta.json and the dataset's folder.
        config: names the dataset, and how images are read.
        cache_dir: as for `Dataset`.

    Raises:
        asen_tf.data.AnnotationError, asen_tf.data.ImageError: see `asen_tf.data.fingerprint` and
            `asen_tf.data.shards.packed_fingerprint`.
    """
    if config.packed:
        root = Path(data_dir) / config.dataset
        return packed_fingerprint(root, config.source_size, config.fit)
    return fingerprint(data_dir, config.dataset, cache_dir)


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
    """A dataset under the data directory, read as a configuration says.

    With preprocessing "release", sources are the whole upright images, read one by one from their
    files at every use, of which models make the release's pixels. Packed images come from shards
    (`asen_tf.data.shards`); their files may be absent.

    Args:
        data_dir: the directory that holds meta.json and the dataset's folder.
        config: names the dataset, and how images are read. With region "true", the true boxes of
            the parts are read, too; with `train_images`, the labels of only that many training
            images are used, chosen by `asen_tf.data.sampling.choose_images`.
        cache_dir: where decoded images are kept if the dataset's folder may only be read, instead
            of its `.cache`; None decodes at every use, with a warning.

    Attributes:
        name: the dataset's folder and its key in meta.json.
        attributes: names and numbers of values.
        fingerprint: identifies the content of the annotations and images; of packed images it is
            another one.

    Raises:
        asen_tf.data.AnnotationError: for anything wrong with the split files.
        asen_tf.data.ImageError: there are no whole shards that fit them, if they are to be read.
    """

    def __init__(
        self, data_dir: str | Path, config: ExperimentConfig, *, cache_dir: Path | None = None
    ) -> None:
        self.data_dir, self.name, self.config = Path(data_dir), config.dataset, config
        root = self.data_dir / self.name
        self.whole = config.preprocessing == "release"
        cache = config.cache_images and not self.whole
        self.cache = cache_folder(root, cache_dir) if cache else None
        if cache and self.cache is None:
            warnings.warn(
                f"{root} may only be read: images are decoded at every use, which "
                "is slow; allow writing to that folder, or copy it to where you may write",
                stacklevel=2,
            )
        self.attributes: AttributeTable = read_meta(self.data_dir, self.name)
        self.fingerprint = data_fingerprint(data_dir, config, cache_dir)
        self._splits: dict[str, SplitImages] = {}

    def split(self, name: str) -> SplitImages:
        """Return one split; with a cache, its images are decoded into it the first time."""
        if name not in self._splits:
            self._splits[name] = self._load(name)
        return self._splits[name]

    def true_boxes(self, name: str) -> dict[tuple[int, int], Box] | None:
        """Return the true boxes of the parts in one split; None without their file.

        Where a part lies in the square depends on the image's size, so images whose files are
        absent have none.

        Returns:
            By (image, attribute): left, top, right, bottom as shares in [0, 1] of the side of the
            square image.
        """
        return self._boxes(self.split(name).split)

    def _read(self, name: str) -> Split:
        missing = "ignore" if self.config.packed else self.config.missing_images
        return read_split(self.data_dir, self.name, name, missing=missing)

    def _load(self, name: str) -> SplitImages:
        config, split = self.config, self._read(name)
        if name == "train" and config.train_images:
            chosen = choose_images(split.labels, config.train_images, seed=config.seed)
            split = replace(split, labels=split.labels[np.isin(split.labels[:, 0], chosen)])
        sources: ImageSource
        if config.packed:
            sources = PackedImages(split.root, name, config.source_size, config.fit)
        else:
            paths = [split.root / file for file in split.files]
            absent = frozenset(split.missing)
            sources = FileImages(paths, config.source_size, fit=config.fit, absent=absent)
        squares = self._squares(split) if config.region == "true" else None
        if self.whole:  # the views are for pictures alone
            views = FileImages(paths, config.global_size, absent=absent)
            return SplitImages(split, FileImages(paths, None, absent=absent), views, squares)
        if self.cache is None:
            return SplitImages(split, sources, GlobalViews(sources, config.global_size), squares)
        stem = f"{self.fingerprint[:16]}-{name}-{config.source_size}-{PIXELS}"
        stem += name_suffix(config.fit) + ("-packed" if config.packed else "")
        title = f"decoding {name} images at {config.source_size} px"
        sources = CachedImages(sources, self.cache / f"{stem}.npy", description=title)
        views: ImageSource = GlobalViews(sources, config.global_size)
        if name != "test":  # whose images a model is given whole, once
            file = self.cache / f"{stem}-{config.global_size}.npy"
            title = f"shrinking {name} images to {config.global_size} px"
            views = CachedImages(views, file, description=title)
        return SplitImages(split, sources, views, squares)

    def _squares(self, split: Split) -> np.ndarray:
        train = self._read("train")
        boxes, reference = self._boxes(split), self._boxes(train)
        if not (boxes and reference):
            rule = "region 'true' needs the true boxes of the parts, in training, too"
            path = split.root / regions_filename("train" if boxes else split.name)
            got = "no such file" if None in (boxes, reference) else "no box"
            remedy = "use region 'attended', or a dataset that has boxes"
            raise AnnotationError(rule, path=path, got=got, remedy=remedy)
        shape, size = (len(split.files), len(self.attributes)), self.config.global_size
        return true_squares(boxes, split.labels, reference=reference, shape=shape, size=size)

    def _boxes(self, split: Split) -> dict[tuple[int, int], Box] | None:
        regions = read_regions(self.data_dir, self.name, split.name)
        if regions is None:
            return None
        if split.missing or self.config.packed:
            absent = {index for index, _ in regions if not split.path(index).is_file()}
            if absent and self.config.packed and self.config.region == "true":
                rule = "region 'true' needs the image files themselves, whose sizes boxes refer to"
                remedy = "copy the image files to this machine, or use region 'attended'"
                path = split.path(min(absent))
                raise AnnotationError(rule, path=path, got="no such file", remedy=remedy)
            regions = {pair: box for pair, box in regions.items() if pair[0] not in absent}
        size, fit = self.config.source_size, self.config.fit
        return boxes_in_square(split, regions, side=size, fit=fit)
