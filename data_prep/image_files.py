"""Checking and placing a dataset's image files, so that training does not fail halfway."""

from __future__ import annotations

import os
import shutil
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from asen_tf.files import file_digest, replacing

MISSING = "no such file"  # the reason why an image that is not there cannot be used
_DRAFT = (64, 64)  # px: JPEG files are decoded completely, but at an eighth of their size


def broken_images(
    root: Path, names: Sequence[str], *, workers: int | None = None, progress: bool = True
) -> dict[str, str]:
    """Decode every image once.

    Args:
        root: the dataset's folder.
        names: image paths relative to it.
        workers: threads; all cores when None.
        progress: show a progress bar.

    Returns:
        Why an image cannot be used, by name, in the order of the names: missing, empty, truncated,
        not an image, or implausibly large.
    """
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        paths = [root / name for name in names]
        reasons = tqdm(
            pool.map(_reason, paths),
            total=len(names),
            desc="checking the images",
            unit="image",
            mininterval=1.0,
            disable=not progress,
        )
        return {name: why for name, why in zip(names, reasons, strict=True) if why}


def equal_contents(paths: Mapping[str, Path]) -> dict[str, str]:
    """Return the names whose files are equal, byte by byte, to that of an earlier name: that name.

    Only files of one size are read. Files that are missing or cannot be read equal no other.
    """
    sizes: dict[int, list[str]] = {}
    for name, path in paths.items():
        if path.is_file() and (size := path.stat().st_size):
            sizes.setdefault(size, []).append(name)
    equal, first = {}, {}
    for names in sizes.values():
        for name in names if len(names) > 1 else ():
            try:
                digest = file_digest(paths[name])
            except OSError:
                continue
            if first.setdefault(digest, name) != name:
                equal[name] = first[digest]
    return equal


class Folder:
    """A folder whose files are found by name however their accents are encoded.

    A folder that was unpacked on macOS may have them apart from their letters (Unicode NFD), and
    a table that was typed elsewhere composed (NFC).

    Args:
        path: the folder; each folder inside it is listed once at most.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """Return the file with this relative path; None if there is none."""
        if (self.path / name).is_file():
            return self.path / name
        place = self.path
        for part in name.split("/"):
            part = self._names(place).get(unicodedata.normalize("NFC", part))
            if part is None:
                return None
            place = place / part
        return place if place.is_file() else None

    def _names(self, place: Path) -> dict[str, str]:
        if place not in self._listed:
            entries = os.listdir(place) if place.is_dir() else ()
            self._listed[place] = {unicodedata.normalize("NFC", entry): entry for entry in entries}
        return self._listed[place]


def place_image(source: Path, target: Path) -> None:
    """Put an image file into a dataset's folder: as a hard link, or as a copy where that fails.

    A source that is a symbolic link, as the caches of model hubs, DVC and git-annex have them, is
    followed: the dataset holds the file itself. A target made from the same file earlier is left as
    it is, and so is one whose source is gone. A source that was repaired or replaced since replaces
    the target.
    """
    kept = target.exists() and not target.is_symlink()  # a link may lead out of the folder
    if kept and (not source.exists() or _same(source, target)):
        return
    source = source.resolve()  # a hard link to a link would be another link
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or one without links
            shutil.copy2(source, temporary)  # with its time, by which a change is noticed


def _same(source: Path, target: Path) -> bool:
    first, second = source.stat(), target.stat()
    if os.path.samestat(first, second):
        return True
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _reason(path: Path) -> str:
    try:
        if not path.stat().st_size:
            return "the file is empty"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.draft("RGB", _DRAFT)
                image.load()
                if not min(image.size):
                    return "the image has no pixels"
                # Whether the loader can convert the colours depends on the mode, not on the pixels;
                # turning by EXIF data cannot fail.
                pixel = image.crop((0, 0, 1, 1))
                alpha = pixel.mode in ("RGBA", "LA", "PA") or "transparency" in pixel.info
                if alpha and not pixel.mode.startswith("I;16"):
                    pixel = pixel.convert("RGBA")
                pixel.convert("RGB")
    except FileNotFoundError:
        return MISSING
    except Image.DecompressionBombError as error:
        return f"too many pixels ({error})"
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        return f"not a readable image ({error})"
    return ""
