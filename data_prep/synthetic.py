"""Write the built-in dataset: rendered garments with FashionAI's attributes and values.

A controlled test bed, not evidence about photographs. Run it with
`python -m data_prep.synthetic --out data --images 6000 --test-images 6000 --size 320 --seed 0`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from asen_tf.data import AnnotationError, AttributeTable, parse_names
from asen_tf.files import replacing, write_text
from data_prep.command import ended
from data_prep.garments.render import Box, render
from data_prep.garments.values import ATTRIBUTES, VALUES
from data_prep.releases import split_images, split_rows
from data_prep.writing import write_meta, write_regions, write_split

RENDERER_VERSION = 9  # raise it with every change that alters an image, a label or a box
MARKER = "renderer.json"
SECONDS_PER_IMAGE = 0.015  # on one core; for the announcement only
FRESH_SEED = 10**6  # added to the seed for the images of a test split of their own
FIRST = "First"  # added to a dataset's name: the test images that it had before
PARTITION_KEY = 2**32 - 1  # spawn key of the partition's random stream: no image has this number

Made = tuple[int, dict[str, int], dict[str, Box]]  # an image's number, labels and boxes


class ParameterMismatch(ValueError):
    """The folder holds a dataset that was made with other parameters."""


def image_path(number: int) -> str:
    """Return the path of image `number` inside the folder of the dataset."""
    return f"images/{number // 1000:03d}/{number:06d}.jpg"


def make_image(task: tuple[str, int, int, int]) -> Made:
    """Render one image unless it is finished; return its number, labels and boxes.

    `task` is (folder of the dataset, seed, number, size). A note of labels and boxes is written
    after the image: an image without a note is rendered again, to the same bytes.
    """
    root, seed, number, size = task
    path = Path(root) / image_path(number)
    note = path.with_suffix(".json")
    if path.exists() and note.exists():
        known = json.loads(note.read_text())
        return number, known["labels"], known["boxes"]
    rendering, stream = render(seed, number, size), io.BytesIO()
    Image.fromarray(rendering.pixels).save(stream, "JPEG", quality=rendering.quality)
    with replacing(path) as temporary:
        temporary.write_bytes(stream.getvalue())
    write_text(note, json.dumps({"labels": rendering.labels, "boxes": rendering.boxes}))
    return number, rendering.labels, rendering.boxes


def _is_finished(root: Path, parameters: dict[str, int], overwrite: bool) -> bool:
    """Return whether the dataset is finished; otherwise its folder is ready, cleared if need be.

    Raises:
        ParameterMismatch: it was made with other parameters, and is not to be replaced.
        AnnotationError: a folder holds what this command has not made, and is not to be replaced.
    """
    done, begun = root / MARKER, root / f"unfinished_{MARKER}"
    marker = done if done.exists() else begun
    found = json.loads(marker.read_text()) if marker.exists() else None
    if found == parameters:
        return marker == done
    if overwrite:
        _clear(root)
    elif found is not None:
        raise ParameterMismatch(
            f"{marker}: a dataset must be continued with the parameters it was begun with; got "
            f"{parameters}, found {found}; choose another --out, or --overwrite it"
        )
    else:
        _check_empty(root)
        _check_empty(root.with_name(f"{root.name}{FIRST}"))
    return False


def _check_empty(folder: Path) -> None:
    """Raise if a folder holds files; hidden ones and empty folders do not count."""
    for path in folder.rglob("*"):
        if not path.name.startswith(".") and not path.is_dir():
            raise AnnotationError(
                f"a folder without {MARKER} must be empty: this command has not made what it holds",
                path=folder,
                got=path.relative_to(folder).as_posix(),
                remedy="choose another --dataset or --out, or replace it with --overwrite",
            )


def _clear(root: Path) -> None:
    """Remove a dataset, but leave a note that this command made it: a kill shall not hide that."""
    if (root / MARKER).exists():
        (root / MARKER).replace(root / f"unfinished_{MARKER}")
    shutil.rmtree(f"{root}{FIRST}", ignore_errors=True)
    for pattern in ("images/*/*.jpg", "images/*/*.json", "images/*/.tmp-*", "*.txt", "*.csv"):
        for path in root.glob(pattern):
            path.unlink()


def _write_splits(data_dir: Path, dataset: str, made: Sequence[Made], seed: int) -> None:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PARTITION_KEY,)))
    for split, numbers in split_images(len(made), rng).items():
        _write_split(data_dir, dataset, split, [made[number] for number in numbers], rng)


def _write_fresh_test(data_dir: Path, dataset: str, made: Sequence[Made], seed: int) -> None:
    """Replace the test split; what it was goes into a dataset of its own, with validation."""
    root, first = data_dir / dataset, data_dir / f"{dataset}{FIRST}"
    for split in ("valid", "test"):
        files = [path.name for end in ("txt", "csv") for path in root.glob(f"*_{split}.{end}")]
        for name in (*files, *parse_names(root / f"filenames_{split}.txt")[0]):
            (first / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, first / name)
    _write_meta(data_dir, first.name)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PARTITION_KEY,)))
    _write_split(data_dir, dataset, "test", made, rng)


def _write_meta(data_dir: Path, dataset: str) -> None:
    table = AttributeTable(ATTRIBUTES, tuple(len(values) for values in VALUES.values()))
    write_meta(data_dir, dataset, table, {name: list(values) for name, values in VALUES.items()})


def _write_split(
    data_dir: Path, dataset: str, split: str, made: Sequence[Made], rng: np.random.Generator
) -> None:
    rows, regions = [], {}
    for index, (_, labels, boxes) in enumerate(made):
        for attribute, name in enumerate(ATTRIBUTES):
            if name in labels:
                rows.append((index, attribute, labels[name]))
            if name in boxes:
                regions[index, attribute] = tuple(round(v, 2) for v in boxes[name])
    parts = {"labels": np.array(rows, np.int64).reshape(-1, 3)}
    if split != "train":
        parts = dict(zip(("queries", "candidates"), split_rows(parts["labels"], rng), strict=True))
    files = [image_path(number) for number, *_ in made]
    write_split(data_dir, dataset, split, files=files, **parts)
    write_regions(data_dir, dataset, split, regions)


def make_dataset(
    data_dir: Path | str,
    *,
    images: int = 6000,
    test_images: int = 0,
    size: int = 320,
    seed: int = 0,
    workers: int | None = None,
    dataset: str = "Garments",
    overwrite: bool = False,
) -> Path:
    """Render the dataset into `data_dir/dataset` and return that folder.

    Image i depends only on its seed and i, so the number of worker processes changes nothing. A
    killed run resumes where it stopped; a finished dataset is left as it is.

    Args:
        data_dir: folder of all datasets; holds meta.json.
        images: number of images, split 8:1:1.
        test_images: number of fresh images, drawn with another seed, that are the test split
            instead. What it was goes into a second dataset, of the same name and "First".
        size: side of an image in pixels.
        seed: of everything random.
        workers: processes; all cores when None.
        dataset: name of the dataset.
        overwrite: replace whatever other dataset is in its folder, or in that of "First".

    Raises:
        ParameterMismatch: the folder holds a dataset made with other parameters.
        asen_tf.data.AnnotationError: one of the two folders holds what this function has not made.
        ValueError: fewer than 10 images, or a side below 32 pixels.
    """
    if images < 10 or size < 32 or test_images < 0:
        got = f"{images} of {size}, and {test_images} for the test"
        raise ValueError(f"need at least 10 images of 32 pixels; got {got}")
    data_dir, workers = Path(data_dir), workers or os.cpu_count() or 1
    root, total = data_dir / dataset, images + test_images
    parameters = {"images": images, "test_images": test_images, "size": size, "seed": seed}
    parameters["version"] = RENDERER_VERSION
    if _is_finished(root, parameters, overwrite):
        print(f"{root}: {total} images are there already, made with the same parameters")
        return root
    begun = root / f"unfinished_{MARKER}"
    write_text(begun, json.dumps(parameters) + "\n")  # first: what a kill leaves is known as ours
    for left in root.glob("images/*/.tmp-*"):  # of a run that was killed
        left.unlink()
    for number in range(0, total, 1000):
        (root / image_path(number)).parent.mkdir(parents=True, exist_ok=True)
    seconds = total * SECONDS_PER_IMAGE / workers
    print(
        f"{root}: rendering {total} images of {size} x {size} px with {workers} processes, "
        f"then split files and regions; about {seconds:.0f} s"
    )
    started = time.perf_counter()
    seeds = [seed] * images + [seed + FRESH_SEED] * test_images
    tasks = [(str(root), each, number, size) for number, each in enumerate(seeds)]
    # Where worker processes cannot start, such as under `python -`, an executor raises; a
    # multiprocessing.Pool would restart them forever.
    spawn = multiprocessing.get_context("spawn")
    ignore = (signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C this process alone ends the others
    with ProcessPoolExecutor(workers, spawn, signal.signal, ignore) as pool:
        with _interrupts_ignored():  # so do processes that start now, before they run any code
            rendered = pool.map(make_image, tasks, chunksize=16)
        made = list(tqdm(rendered, total=total, unit="image"))
    _write_meta(data_dir, dataset)
    _write_splits(data_dir, dataset, made[:images], seed)
    if test_images:
        _write_fresh_test(data_dir, dataset, made[images:], seed + FRESH_SEED)
    for note in root.glob("images/*/*.json"):
        note.unlink()
    begun.replace(root / MARKER)
    print(f"{root}: done in {time.perf_counter() - started:.0f} s")
    return root


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment, in the only thread that may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.synthetic", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data"),
        help="folder of the datasets (default: %(default)s)",
    )
    parser.add_argument("--images", type=int, default=6000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--test-images",
        type=int,
        default=6000,
        help="fresh images for the test; 0: a tenth of the others (default: %(default)s)",
    )
    parser.add_argument(
        "--size", type=int, default=320, help="side of an image, px (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    parser.add_argument("--dataset", default="Garments", help="its name (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace another dataset")
    options = parser.parse_args(arguments)
    names = ("images", "test_images", "size", "seed", "workers", "dataset", "overwrite")
    chosen = {name: getattr(options, name) for name in names}
    return ended(lambda: print(make_dataset(options.out, **chosen)))


if __name__ == "__main__":
    sys.exit(main())
