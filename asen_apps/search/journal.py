"""What has been embedded of a catalogue whose index is not saved yet: a kill loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asen_apps.search.items import UnusableError
from asen_tf.data.images import ImageError
from asen_tf.embedder import Embedder, ImageFile
from asen_tf.files import DiskFullError, write_json

MISSING = "no such file; check the path"
AT_ONCE = 256  # vectors that are taken from the journal together


class Journal:
    """Vectors and unreadable images by the digest of the file, as they come; a kill loses nothing.

    `vectors.bin` holds `(n, A, D)` float32; `done.txt` has a line per file, in that order: digest,
    checksum and row, or digest and the reason why it cannot be used.

    Args:
        folder: created if need be; what another model or choice left there is removed.
        key: names the model and the embedding.
        names: the A attributes.
        say: called with a sentence if there is something to go on with.

    Attributes:
        rows: digest -> row.
        broken: digest -> reason.
        after: the bytes that the index itself will take on this disk, from the vectors' dimension.
    """

    def __init__(
        self, folder: Path, key: str, names: Sequence[str], say: Callable[[object], None]
    ) -> None:
        self.names, self.rows, self.broken = tuple(names), {}, {}
        self.after: Callable[[int], int] = lambda dimension: 0
        self._vectors, self._done = folder / "vectors.bin", folder / "done.txt"
        about = {"key": key, "attributes": list(names)}
        try:
            with open(folder / "about.json", encoding="utf-8") as stream:
                usable = json.load(stream) == about
        except (OSError, ValueError):
            usable = False
        if not usable:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_json(folder / "about.json", about)
        self._dimension = 0
        self._read()
        if self.rows:
            say(f"going on: {len(self.rows)} images were embedded before the last stop")

    def _read(self) -> None:
        """Take the whole lines whose vectors are there; cut off what a kill left half-written."""
        self._done.touch()
        self._vectors.touch()
        text = self._done.read_bytes()
        size, good = self._vectors.stat().st_size, 0
        for line in text.splitlines(keepends=True):
            parts = line.decode("utf-8", errors="replace").rstrip("\n").split(" ", 3)
            if not line.endswith(b"\n") or len(parts) != 4 or len(parts[0]) != 64:
                break
            digest, check, width, reason = parts
            if check == "-":
                self.broken[digest] = reason
            else:
                self._dimension = int(width)
                end = (len(self.rows) + 1) * self._bytes
                if end > size or self._check(len(self.rows)) != check:
                    break
                self.rows[digest] = len(self.rows)
            good += len(line)
        os.truncate(self._done, good)
        os.truncate(self._vectors, len(self.rows) * self._bytes)

    @property
    def _bytes(self) -> int:
        return 4 * len(self.names) * self._dimension

    def _check(self, row: int) -> str:
        with open(self._vectors, "rb") as stream:
            stream.seek(row * self._bytes)
            return f"{zlib.crc32(stream.read(self._bytes)):08x}"

    def check_room(self, count: int, dimension: int) -> None:
        """Raise DiskFullError unless so many more files, and then the index, find room."""
        folder = self._vectors.parent
        needed = 4 * count * len(self.names) * dimension + self.after(dimension)
        if needed > (free := shutil.disk_usage(folder).free):
            raise DiskFullError(
                f"{folder.parent}: no room for the vectors of {count:,} images and the index: "
                f"{needed:,} bytes needed, {free:,} bytes free; make room, choose another folder "
                "by --out, or fewer attributes by --attribute; the same command then goes on"
            )

    def add(self, digests: Sequence[str], vectors: np.ndarray) -> None:
        """Take the vectors of files, `(n, A, D)` float32."""
        self._dimension = vectors.shape[2]
        with open(self._vectors, "ab") as stream:
            stream.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        lines = []
        for digest, one in zip(digests, vectors, strict=True):
            self.rows[digest] = len(self.rows)
            check = zlib.crc32(np.ascontiguousarray(one, "<f4").tobytes())
            lines.append(f"{digest} {check:08x} {self._dimension} ok\n")
        self._append("".join(lines))

    def refuse(self, digest: str, reason: str) -> None:
        """Take why a file cannot be used."""
        self.broken[digest] = " ".join(reason.split())
        self._append(f"{digest} - 0 {self.broken[digest]}\n")

    def _append(self, lines: str) -> None:
        form = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
        with open(self._done, "a", **form) as stream:
            stream.write(lines)

    def get(self, digests: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Return `(n, len(names), D)` float32 of files that are there."""
        shape = (len(self.rows), len(self.names), self._dimension)
        stored = np.memmap(self._vectors, "<f4", "r", shape=shape)
        columns = [self.names.index(name) for name in names]
        rows = [self.rows[digest] for digest in digests]
        return np.stack([stored[rows, column] for column in columns], axis=1)


class ResumingEmbedder(Embedder):
    """An embedder that looks into a journal first, and notes there what it embeds.

    Attributes:
        journal: of the attributes that it is asked for.
        digests: path -> digest, of the files that can be read.
    """

    journal: Journal
    digests: dict[Path, str]

    def fill(self, paths: Sequence[Path], names: Sequence[str], embedding: str) -> None:
        """Embed files into the journal, with a bar of images per second and the time left."""
        done = sum(self._known(path) for path in paths)
        with tqdm(total=len(paths), initial=done, desc="embedding", unit="image") as bar:
            for places, _ in self._new(list(paths), names, embedding, bar):
                bar.update(len(places))
            bar.update(bar.total - bar.n)  # copies, and what is missing

    def batches(
        self,
        paths: Sequence[ImageFile],
        names: Sequence[str],
        embedding: str | None = None,
        skip: Callable[[ImageError], None] | None = None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield vectors as `Embedder` does, those of the journal first."""
        paths = [Path(path) for path in paths]
        for _ in self._new(paths, names, embedding, None):
            pass
        usable = []
        for place, path in enumerate(paths):
            digest = self.digests.get(path)
            if digest in self.journal.rows:
                usable.append(place)
            elif skip is not None:
                skip(UnusableError(path, self.journal.broken.get(digest, MISSING)))
        for first in range(0, len(usable), AT_ONCE):
            places = usable[first : first + AT_ONCE]
            yield places, self.journal.get([self.digests[paths[p]] for p in places], names)

    def _known(self, path: Path) -> bool:
        digest = self.digests.get(path)
        return digest in self.journal.rows or digest in self.journal.broken

    def _new(
        self,
        paths: list[Path],
        names: Sequence[str],
        embedding: str | None,
        bar: tqdm | None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embed each content that the journal lacks, once, and note it there."""
        first = {self.digests[p]: p for p in reversed(paths) if p in self.digests}
        wanted = [path for digest, path in first.items() if not self._known(path)][::-1]
        rest = iter(wanted)

        def refuse(error: ImageError) -> None:
            told = str(error)  # errors come in the order of the files
            path = next(path for path in rest if told.startswith(f"{path}: "))
            self.journal.refuse(self.digests[path], told[len(f"{path}: ") :])
            if bar is not None:
                bar.update()

        checked = False
        for places, vectors in super().batches(wanted, names, embedding, refuse):
            if not checked:  # the dimension is known with the first vectors
                self.journal.check_room(len(wanted), vectors.shape[2])
                checked = True
            self.journal.add([self.digests[wanted[place]] for place in places], vectors)
            yield places, vectors
