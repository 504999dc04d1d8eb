"""The kinds of files that the project reads: right ones, their readers, and what does harm.

`benchmarks.bad_files` changes the right ones at random and tries both: images and labels that would
fill the memory, archives in archives, pickles that would run code.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.io
from PIL import Image

from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data import AnnotationError, AttributeTable, Split, read_split
from asen_tf.data.images import ImageError, load_image
from asen_tf.data.reading import fingerprint
from asen_tf.data.tables import read_table
from asen_tf.presets import preset
from data_prep.archives import unpack
from data_prep.catalog_table import read_catalogue
from data_prep.clothing_attributes import _column as read_matrix
from data_prep.fashionai import read_labels
from data_prep.writing import write_meta, write_split


@dataclass
class Kind:
    """One kind of file.

    Attributes:
        name: for people.
        share: how many of 100 examples are of this kind.
        files: the right files, of which one is changed at a time.
        read: reads them as the project does, and checks what it has read.
        errors: our own errors.
        harmful: by name, what must be refused in place of the first file.
    """

    name: str
    share: int
    files: list[Path]
    read: Callable[[], None]
    errors: tuple[type[Exception], ...]
    harmful: dict[str, bytes] = field(default_factory=dict)


class Runs:
    """Unpickled, it would leave a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a call of the shell."""
        return os.system, (f"touch {self.mark}",)


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def split_files(folder: Path) -> Kind:
    """Return split files of two splits, with images."""
    rows = np.array([[i, a, i % 2] for i in range(4) for a in (0, 1)])
    write_meta(folder, "Tiny", AttributeTable(("length", "neck"), (2, 3)))
    for name in ("train", "test"):
        files = [f"{name}/{i} é.png" for i in range(4)]
        parts = {"labels": rows} if name == "train" else {"queries": rows[:2], "candidates": rows}
        write_split(folder, "Tiny", name, files=files, **parts)
        for file in files:
            path = folder / "Tiny" / file
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (3, 4)).save(path)

    def check(split: Split) -> None:
        for array in (split.labels, split.queries, split.candidates):
            assert array.dtype == np.int64 and array.shape[1] == 3 and (array >= 0).all()
            assert (array[:, 0] < max(len(split.files), 1)).all()
            assert (array[:, 2] < np.array(split.attributes.sizes)[array[:, 1]]).all()
        for file in split.files:
            assert not file.startswith("/") and ".." not in file.split("/")

    def read() -> None:
        for name in ("train", "test"):
            check(read_split(folder, "Tiny", name, missing="skip"))
        assert len(fingerprint(folder, "Tiny")) == 64

    texts = [path for path in _files_of(folder) if path.suffix in (".txt", ".json")]
    return Kind("split files", 15, texts, read, (AnnotationError,))


def tables(folder: Path) -> Kind:
    """Return a CSV table as Excel writes it."""
    path = folder / "shop.csv"
    cells = [["image", "colour", "Länge", "split"]]
    cells += [[f"a/{i}.jpg", ("Red", "red ", "n/a")[i % 3], '12 "cm"', "train"] for i in range(5)]
    with open(path, "w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(cells)

    def read() -> None:
        table = read_table(path)
        assert all(len(row) == len(table.columns) for _, row in table.rows)
        rows, _ = read_catalogue(path)
        images = [row.image for row in rows]
        assert len(set(images)) == len(images) and not any(name.startswith("/") for name in images)

    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    harmful = {
        "a spreadsheet": workbook.getvalue(),
        "a cell of 20 MB": b"image,colour\na.jpg," + b"x" * 20_000_000,
        "an open quotation mark": b'image,colour\n"a.jpg,' + b"x\n" * 1_000_000,
    }
    return Kind("CSV tables", 20, [path], read, (AnnotationError,), harmful)


def label_lists(folder: Path) -> Kind:
    """Return a list of labels as FashionAI has them."""
    path = folder / "label.csv"
    marks = ["ynnnn", "nynnm", "nnnnnynn"]
    kinds = ["neck_design_labels", "collar_design_labels", "skirt_length_labels"]
    lines = [f"Images/{i}.jpg,{kinds[i % 3]},{marks[i % 3][:5]}" for i in range(6)]
    path.write_text("\n".join(line for line in lines if "skirt" not in line) + "\n")

    def read() -> None:
        for name, (attribute, value) in read_labels(path):
            assert name and attribute >= 0 and value >= 0

    return Kind("label files", 15, [path], read, (AnnotationError,))


def label_matrices(folder: Path) -> Kind:
    """Return MATLAB's label matrices, packed and plain."""
    path = folder / "red_GT.mat"
    labels = np.array([[1.0], [2.0], [np.nan], [1.0]])
    scipy.io.savemat(path, {"GT": labels}, do_compression=False)
    plain = path.read_bytes()
    dimensions = struct.pack("<ii", *labels.shape)
    assert plain.count(dimensions) == 1
    header = struct.pack("<iiiii", 0, 2**31 - 1, 64, 0, 3) + b"GT\0"  # MATLAB 4: a terabyte
    bomb = io.BytesIO()
    scipy.io.savemat(bomb, {"GT": np.zeros((12_000_000, 1))}, do_compression=True)
    packed = io.BytesIO()
    scipy.io.savemat(packed, {"GT": labels}, do_compression=True)
    path.write_bytes(packed.getvalue())

    def read() -> None:
        found = read_matrix(path, 2)
        assert found.ndim == 1 and set(found.tolist()) <= {0, 1, 2}

    harmful = {
        "17 GB in its header": plain.replace(dimensions, struct.pack("<ii", 2**31 - 1, 1)),
        "a terabyte in its header": header,
        "100 MB of zeros": bomb.getvalue(),
        "a pickle": pickle.dumps(Runs(folder / "ran")),
    }
    second = folder / "plain_GT.mat"  # so that its inside is changed, too, not only its packing
    second.write_bytes(plain)

    def both() -> None:
        read()
        assert set(read_matrix(second, 2).tolist()) <= {0, 1, 2}

    return Kind("label matrices (.mat)", 12, [path, second], both, (AnnotationError,), harmful)


def _png(width: int, height: int, data: bytes, *more: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    middle = b"".join(chunk(part[:4], part[4:]) for part in more)
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def images(folder: Path) -> Kind:
    """Return images of seven formats."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = []
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        paths.append(folder / f"a.{kind.lower()}")
        Image.fromarray(pixels).save(paths[-1], kind, **({"exif": exif} if kind != "BMP" else {}))

    def read() -> None:
        for path in paths:
            square = load_image(path, 16)
            assert square.shape == (16, 16, 3) and square.dtype == np.uint8

    text = b"zTXtComment\0\0" + zlib.compress(b"x" * 20_000_000, 9)
    harmful = {
        "60,000 x 60,000 px": _png(60_000, 60_000, zlib.compress(b"\0" * 1000)),
        "a text of 20 MB": _png(8, 8, zlib.compress(b"\0" * 72), text),
        "4,000,000,000 x 1 px": _png(4_000_000_000, 1, b""),
        "a pickle": pickle.dumps(Runs(folder / "ran")),
        "a page": b"<html><body>404</body></html>",
    }
    return Kind("images", 15, paths, read, (ImageError,), harmful)


def presets(folder: Path) -> Kind:
    """Return a preset file."""
    path = folder / "mine.json"
    content = {"preset": "quick", "overrides": {"margin": 0.3, "seed": 4}, "note": "é"}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")

    def read() -> None:
        assert isinstance(preset(str(path)), ExperimentConfig)

    harmful = {
        "100,000 lists in lists": b"[" * 100_000,
        "a number of a million digits": b'{"preset": "quick", "overrides": {"seed": '
        + b"9" * 1_000_000
        + b"}}",
        "a pickle": pickle.dumps(Runs(folder / "ran")),
    }
    return Kind("preset files", 10, [path], read, (ConfigError,), harmful)


def indexes(folder: Path) -> Kind:
    """Return a saved search index."""
    from asen_apps.search import AttributeIndex, SearchIndexError

    vectors = np.eye(6, 8, dtype=np.float32)

    def embed_all(paths: Sequence[Path | str], **more: Any) -> np.ndarray:
        return vectors[[int(Path(path).stem) for path in paths], None]

    embedder: Any = SimpleNamespace(
        attribute_names=("neck",),
        model=SimpleNamespace(
            embedding_names=("global",), get_config=lambda: {"attributes": ["neck"]}, weights=()
        ),
        embed_all=embed_all,
        batches=lambda paths, *more: [([*range(len(paths))], embed_all(paths))],
    )
    index = AttributeIndex.build(embedder, [folder / f"{number}.png" for number in range(6)])
    index.prepare(progress=False)
    index.save(folder / "index")

    def read() -> None:
        for verify in (True, False):  # without checksums, the contents alone can tell
            loaded = AttributeIndex.load(folder / "index", embedder, verify=verify)
            if verify:
                np.testing.assert_array_equal(loaded.vectors("neck"), vectors)
            assert loaded.search(folder / "2.png", "neck", 1)[0].id == 2 or not verify

    paths = [path for path in _files_of(folder / "index") if not path.name.startswith(".")]
    harmful = {"a pickle": pickle.dumps(Runs(folder / "ran")), "nothing": b""}
    return Kind("search indexes", 8, paths, read, (SearchIndexError,), harmful)


def checkpoints(folder: Path) -> Kind:
    """Return weights in PyTorch's old serialisation."""
    from asen_tf.backbones.checkpoints import CheckpointError, read_legacy_state

    path = folder / "weights.pth"
    numbers = np.arange(6, dtype="<f4")

    def dumped(tensors: bytes) -> bytes:
        parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        head = b"".join(pickle.dumps(part, 2) for part in parts)
        keys = pickle.dumps(["7"], 2)
        return head + tensors + keys + struct.pack("<q", len(numbers)) + numbers.tobytes()

    def tensor(shape: tuple[int, ...], steps: tuple[int, ...]) -> bytes:
        """Return the pickle of {"a": a tensor}, written by hand: PyTorch is not there."""
        identity = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x06NtQ"
        place = b"K\0" + pickle.dumps(shape, 2)[2:-1] + pickle.dumps(steps, 2)[2:-1]
        rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + place + b"\x89}tR"
        return b"\x80\x02}X\x01\0\0\0a" + rebuilt + b"s."

    path.write_bytes(dumped(tensor((2, 3), (3, 1))))
    np.testing.assert_array_equal(read_legacy_state(path)["a"], numbers.reshape(2, 3))

    def read() -> None:
        for array in read_legacy_state(path).values():
            assert array.size <= len(numbers) * 8

    harmful = {
        "code": dumped(pickle.dumps(Runs(folder / "ran"), 2)),
        "10 GB by steps of 0": dumped(tensor((50_000, 50_000), (0, 0))),
        "storage of another size": dumped(tensor((2, 3), (3, 1)))[:-4],
        "a zip in a zip": _zip_of_zips(),
        "a table of 16 GB": b"\x80\x02K\0r\0\0\0\x40.",
    }
    return Kind("checkpoints", 4, [path], read, (CheckpointError,), harmful)


def _zip_of_zips() -> bytes:
    """Return a zip file that holds a zip file that holds ... 64 MB of zeros."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("zeros", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(2**20))
    for _ in range(5):
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("config.json", "metadata.json", "model.weights.h5"):
                archive.writestr(name, content.getvalue())
        content = outer
    return content.getvalue()


def archives(folder: Path) -> Kind:
    """Return a zip file of raw data."""
    path = folder / "raw.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"Images/{number}.txt", f"content {number}" * 20)

    def read() -> None:
        place = folder / "unpacked"
        try:
            unpack(path, place)
            assert all(found.resolve().is_relative_to(place) for found in place.rglob("*"))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 * 2**20))
    up = io.BytesIO()
    with zipfile.ZipFile(up, "w") as archive:
        archive.writestr("../../ran", "x")
    harmful = {"50 MB of zeros": bomb.getvalue(), "a way out": up.getvalue()}
    return Kind("archives", 5, [path], read, (AnnotationError,), harmful)


def saved_models(folder: Path) -> Kind:
    """Return a saved model."""
    from asen_tf.models import ModelFileError, build_model, load_saved
    from asen_tf.presets import smoke

    path = folder / "model.keras"
    config = smoke().override(method="triplet", embedding_dim=8)
    build_model(config, ("neck", "length")).save(path)
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}

    def zipped(**changed: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {**members, **changed}.items():
                archive.writestr(name, content)
        return stream.getvalue()

    def read() -> None:
        assert load_saved(path).attribute_names

    lambda_layer = json.dumps({"module": "keras.layers", "class_name": "Lambda", "config": {}})
    harmful = {
        "a layer with code": zipped(**{"config.json": lambda_layer.encode()}),
        "256 MB of zeros": zipped(**{"model.weights.h5": bytes(2**28)}),
        "a pickle beside": zipped(**{"extra.pkl": pickle.dumps(Runs(folder / "ran"))}),
        "a zip of zips": _zip_of_zips(),
    }
    return Kind("saved models", 1, [path], read, (ModelFileError,), harmful)


KINDS: tuple[Callable[[Path], Kind], ...] = (
    *(split_files, tables, label_lists, label_matrices, images),
    *(presets, indexes, checkpoints, archives, saved_models),
)
QUICK = KINDS[:-1]  # without those that need a trained network
