"""What is searched, a dataset's test images with their labels, and the image it is searched with.

An uploaded file is checked before it is decoded.
"""

from __future__ import annotations

import base64
import io
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from asen_apps.explorer import LARGEST_BYTES, ExplorerError
from asen_apps.search import AttributeIndex
from asen_apps.search.catalogue_table import as_text, labelled, value
from asen_apps.search.items import attribute_name
from asen_apps.search.service import FORMATS, LARGEST_PIXELS
from asen_study.runs import DRAWN
from asen_tf.data import AnnotationError, read_regions, read_split, read_value_names
from asen_tf.data.images import ImageError, load_image

PICTURE_SIDE = 192  # px, of every picture in its file; the page scales it
_QUALITY = 82  # of JPEG
_KEPT = 2000  # pictures in memory, 10 kB each
_NAME_SHOWN = 60  # characters
_NOTHING = {"no", "none", "not visible", "invisible", "other", "false", "0"}  # tell little


@dataclass(frozen=True)
class Query:
    """The image that is searched with.

    Attributes:
        title: its name on the page.
        image: its file index in the test split; None for an uploaded one.
        content: the bytes of an uploaded file.
    """

    title: str
    image: int | None = None
    content: bytes = b""


@dataclass(frozen=True)
class Verdict:
    """How an image compares with the query in one attribute.

    Attributes:
        value: the names of the image's values, "" where it has no label.
        right: whether it shares one with the query; None where either has no label.
    """

    value: str
    right: bool | None


class Gallery:
    """The test images of a dataset that are on disk.

    Args:
        data_dir: the directory of meta.json and the datasets.
        dataset: the dataset's name.

    Attributes:
        ids: the images' file indices in the test split, increasing.
        attributes: the names of the dataset's attributes.
        picture: image and fit -> its square as `data:` URI; cached.
        noun: what an image is called.

    Raises:
        ExplorerError: the split files cannot be read, or none of the images is there.
    """

    noun = "test image"

    def __init__(self, data_dir: str | Path, dataset: str) -> None:
        try:
            self._split = read_split(data_dir, dataset, "test", missing="skip")
            self._names = read_value_names(data_dir, dataset) or {}
            boxes = read_regions(data_dir, dataset, "test") or {}
        except AnnotationError as error:
            raise ExplorerError(f"The data cannot be read. {error}") from error
        self.picture = lru_cache(maxsize=_KEPT)(self._picture)
        self._root = self._split.root.resolve()
        missing = set(self._split.missing)
        self.ids = tuple(i for i in range(len(self._split.files)) if i not in missing)
        self._known = frozenset(self.ids)
        if not self.ids:
            raise ExplorerError(
                f"None of the test images of {dataset} is in {data_dir}. Run `make study`, or put "
                "the images back."
            )
        self.attributes = self._split.attributes.names
        self._visible = {(image, self.attributes[attribute]) for image, attribute in boxes}
        self._values: dict[tuple[int, str], set[int]] = defaultdict(set)
        if self._split.triplets is None:  # a split of listed triplets has no values
            for image, attribute, value in self._split.labels.tolist():
                self._values[image, self.attributes[attribute]].add(value)

    def title(self, image: int) -> str:
        """Return what an image is called under its picture."""
        return f"test image {image}"

    def named(self, title: str) -> int | None:
        """Return the image that has a title; None without one."""
        return next((image for image in self.ids if self.title(image) == title), None)

    def details(self, image: int) -> tuple[str, ...]:
        """Return what else is known of an image, beside its values: nothing."""
        return ()

    def path(self, image: int) -> Path:
        """Return an image's file.

        Raises:
            ExplorerError: there is no such image, or its file is outside the dataset's folder.
        """
        if image not in self._known:
            raise ExplorerError(f"There is no test image number {image}.")
        path = self._split.path(image)
        if not path.resolve().is_relative_to(self._root):
            raise ExplorerError(f"The file of image {image} is outside the data folder.")
        return path

    def pixels(self, image: int, side: int | None, fit: str = "square") -> np.ndarray:
        """Return an image as a model of that fit sees it, `(side, side, 3)` uint8; whole for None.

        Raises:
            ExplorerError: as for `path`, or the file cannot be read.
        """
        try:
            return load_image(self.path(image), side, fit=fit)
        except ImageError as error:
            raise ExplorerError(f"{capital(self.title(image))} cannot be read. {error}") from error

    def _picture(self, image: int, fit: str = "square") -> str:
        return data_uri(self.pixels(image, PICTURE_SIDE, fit))

    def is_labelled(self, image: int, attribute: str) -> bool:
        """Return whether an image has a label for an attribute."""
        return (image, attribute) in self._values

    def labelled(self, attributes: tuple[str, ...]) -> tuple[int, ...]:
        """Return the images that have a label for every one of the attributes."""
        return tuple(i for i in self.ids if all(self.is_labelled(i, name) for name in attributes))

    def value(self, image: int, attribute: str) -> str:
        """Return the names of an image's values, joined; "" where it has no label."""
        values = sorted(self._values.get((image, attribute), ()))
        names = self._names.get(attribute)
        return ", ".join(names[value] if names else f"value {value}" for value in values)

    def compare(self, query: int | None, image: int, attribute: str) -> Verdict:
        """Compare an image's values with the query's; an uploaded query is None and has none."""
        values = self._values.get((image, attribute), set())
        wanted = set() if query is None else self._values.get((query, attribute), set())
        right = bool(values & wanted) if values and wanted else None
        return Verdict(self.value(image, attribute), right)

    def chance(self, attribute: str) -> float:
        """Return how likely two labelled images share their values; 1 if there are not two."""
        often = Counter(v for v in (self.value(i, attribute) for i in self.ids) if v)
        total = sum(often.values())
        pairs = total * (total - 1)
        return sum(n * (n - 1) for n in often.values()) / pairs if pairs else 1.0

    def first_image(self, attributes: tuple[str, ...]) -> int:
        """Return a labelled image to begin with: the first with the most frequent values.

        Images on which all the parts are known to be visible come before the others, and values
        that say what is there before those that say that something is not.
        """
        labelled = self.labelled(attributes) or self.ids
        values = {i: tuple(self.value(i, name) for name in attributes) for i in labelled}
        often = Counter(values.values())

        def merit(image: int) -> tuple[bool, bool, int]:
            visible = all((image, name) in self._visible for name in attributes)
            tells = not any(value.lower() in _NOTHING for value in values[image])
            return visible, tells, often[values[image]]

        return max(labelled, key=merit)


class CatalogueGallery(Gallery):
    """The images of an index, with their metadata; what names an attribute is its label.

    Args:
        index: whose ids and files are the images.

    Attributes:
        rendered: whether they are those of the built-in drawings.
    """

    noun = "image"

    def __init__(self, index: AttributeIndex) -> None:
        self.picture = lru_cache(maxsize=_KEPT)(self._picture)
        self.ids, self.attributes = tuple(index.ids.tolist()), index.attribute_names
        self._known, self._visible = frozenset(self.ids), set()
        self._paths = dict(zip(self.ids, index.images, strict=True))
        folder = os.path.commonpath([os.path.dirname(path) for path in index.images] or [""])
        self._titles = {image: _shown(path, folder) for image, path in self._paths.items()}
        self.metadata = dict(zip(self.ids, index.metadata, strict=True))
        above = (Path(folder), *Path(folder).parents)
        # What `data_prep.synthetic` leaves there tells a drawn dataset from a shop's "Garments".
        self.rendered = any(
            one.name in DRAWN and (one / "renderer.json").is_file() for one in above
        )

    def title(self, image: int) -> str:
        """Return an image's path, from the folder that all images are in."""
        return self._titles.get(image, f"image {image}")

    def details(self, image: int) -> tuple[str, ...]:
        """Return an image's metadata, `field: value`, but for the labels of attributes."""
        return tuple(
            f"{name}: {as_text(entry)}"
            for name, entry in self.metadata[image].items()
            if as_text(entry) and not {name, attribute_name(name)} & set(self.attributes)
        )

    def path(self, image: int) -> Path:
        """Return an image's file; ExplorerError if there is no such image."""
        if image not in self._known:
            raise ExplorerError(f"There is no image number {image}.")
        return self._paths[image]

    def is_labelled(self, image: int, attribute: str) -> bool:
        """Return whether the metadata has a value for an attribute."""
        return bool(self.value(image, attribute))

    def value(self, image: int, attribute: str) -> str:
        """Return an image's value in the metadata; "" without one."""
        return value(as_text(labelled(self.metadata[image], attribute)))

    def compare(self, query: int | None, image: int, attribute: str) -> Verdict:
        """Compare an image's value with the query's; an uploaded query is None and has none."""
        own = self.value(image, attribute)
        wanted = "" if query is None else self.value(query, attribute)
        return Verdict(own, own == wanted if own and wanted else None)


def _shown(path: Path, folder: str) -> str:
    """Return a path from a folder on, with escapes for what is no UTF-8, which no page can show."""
    return os.path.relpath(path, folder).encode("utf-8", "backslashreplace").decode("utf-8")


def capital(text: str) -> str:
    """Return a text that begins a sentence; file names stay as they are."""
    words = text.startswith(("test image", "your picture"))
    return text[:1].upper() + text[1:] if words else text


def data_uri(image: np.ndarray, side: int = PICTURE_SIDE) -> str:
    """Return a picture as `data:image/jpeg;base64,...`, for `<img src>`.

    Args:
        image: `(S, S, 3)` uint8.
        side: px, to which it is resized.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


# === Uploaded files ===


def check_upload(name: str, content: bytes, size: int | None = None) -> None:
    """Check an uploaded file by its length and its header, without decoding it.

    Args:
        name: the file's name on the visitor's machine; only shown.
        content: its bytes.
        size: its length as the browser gives it: the browser holds back a file that is too large.

    Raises:
        ExplorerError: it is empty, too large, of no format in `FORMATS`, or has too many pixels.
    """
    shown, size = _shorten(name), max(size or 0, len(content))
    if size > LARGEST_BYTES:
        raise ExplorerError(
            f"{shown} is too large: it has {size / 2**20:.1f} MB, and the limit is "
            f"{LARGEST_BYTES / 2**20:.0f} MB. Choose a smaller copy."
        )
    if not content:
        raise ExplorerError(f"{shown} is empty. Choose another file.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
    except Image.DecompressionBombError:
        raise ExplorerError(f"{shown} has far too many pixels. Choose a smaller copy.") from None
    except (OSError, ValueError, SyntaxError):
        raise _unreadable(shown) from None
    if width * height > LARGEST_PIXELS:
        raise ExplorerError(
            f"{shown} is too large: it has {width} x {height} pixels, and the limit is "
            f"{LARGEST_PIXELS // 10**6} million. Choose a smaller copy."
        )


def decode_upload(name: str, content: bytes, side: int | None, fit: str = "square") -> np.ndarray:
    """Check an uploaded file, then decode it the way the dataset's own images are decoded.

    Args:
        name: the file's name on the visitor's machine; only shown.
        content: its bytes.
        side: px; None for the whole picture.
        fit: how it becomes a square, as for `asen_tf.data.load_image`.

    Returns:
        `(side, side, 3)` uint8, or `(height, width, 3)`.

    Raises:
        ExplorerError: as for `check_upload`, or the file is damaged.
    """
    check_upload(name, content)
    try:
        return load_image(io.BytesIO(content), side, fit=fit)
    except ImageError:
        raise _unreadable(_shorten(name)) from None


def _unreadable(name: str) -> ExplorerError:
    kinds = ", ".join(FORMATS[:-1])
    return ExplorerError(
        f"{name} is not an image that can be read. Choose a {kinds} or {FORMATS[-1]} file."
    )


def _shorten(name: str) -> str:
    printable = "".join(letter for letter in name if letter.isprintable()) or "The file"
    if len(printable) <= _NAME_SHOWN:
        return printable
    return printable[: _NAME_SHOWN - 3] + "..."
