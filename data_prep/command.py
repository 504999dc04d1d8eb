"""What preparations of raw releases share: command line, report, division and split files."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asen_tf.config import did_you_mean
from asen_tf.data import AnnotationError, AttributeTable
from data_prep.image_files import equal_contents
from data_prep.releases import (
    BROKEN,
    Sample,
    apply_released,
    divide,
    in_one_split,
    paths_of,
    read_released,
    write_dataset,
)

_SHOWN = 10  # names shown of the images left out, or of folders
_ROOT, _PACKAGES = Path(__file__).parents[1], ("asen_tf", "data_prep")


@dataclass(frozen=True)
class Report:
    """What a preparation found.

    Attributes:
        images: how many images each split has, without those that were left out.
        left_out: why an image cannot be used, by path.
        notes: what else a reader should know, one sentence each.
    """

    images: Mapping[str, int]
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def from_paths(
        cls,
        paths: Mapping[str, Iterable[str]],
        left_out: Mapping[str, str],
        notes: Iterable[str] = (),
    ) -> Report:
        """Count the images of each split that were not left out, given the paths of all."""
        counts = {name: sum(path not in left_out for path in part) for name, part in paths.items()}
        return cls(counts, left_out, tuple(notes))

    def __str__(self) -> str:
        """Return the report as lines."""
        total = sum(self.images.values())
        counts = ", ".join(f"{name} {count:,}" for name, count in self.images.items())
        lines = [f"{total:,} images: {counts}"]
        if self.left_out:
            reasons = Counter(why.split(" (")[0] for why in self.left_out.values())
            why = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
            lines.append(f"{len(self.left_out):,} left out, listed in broken_images.csv ({why})")
            lines += [f"- {name}" for name in list(self.left_out)[:_SHOWN]]
        return "\n".join([*lines, *self.notes])


def write_release(
    out: Path,
    dataset: str,
    attributes: AttributeTable,
    samples: Sequence[Sample],
    *,
    value_names: Mapping[str, Sequence[str]],
    seed: int,
    broken: str,
    splits: Path | None,
    notes: Sequence[str] = (),
) -> Report:
    """Check the images of a release and write split files, of its authors' or a random division.

    Args:
        out: the folder of all datasets; the images are in `out/dataset` already.
        dataset: the dataset's name.
        attributes: names and numbers of values.
        samples: the images to divide, 8:1:1, with equal ones in one split.
        value_names: names of the values by attribute.
        seed: of the random division.
        broken: "error" or "skip", for images that cannot be used.
        splits: the folder of the authors' split files, or the one above it; None divides at random.
        notes: what to report besides, if `samples` are divided.

    Raises:
        AnnotationError: a split file breaks a rule, or an image cannot be used.
    """
    shared = {"value_names": value_names, "broken": broken}
    if splits is not None:
        released = read_released(splits, attributes, dataset)
        left_out = apply_released(out, dataset, attributes, released, **shared)
        return Report.from_paths({name: part.files for name, part in released.items()}, left_out)
    equal = equal_contents({sample.path: out / dataset / sample.path for sample in samples})
    divided = divide(samples, seed=seed, equal=equal)
    left_out = write_dataset(out, dataset, attributes, divided, seed=seed, **shared)
    return Report.from_paths(paths_of(divided), left_out, [*notes, *in_one_split(equal)])


def run_command(
    name: str,
    description: str,
    prepare: Callable[..., Report],
    arguments: Sequence[str] | None,
    *,
    broken: str = "error",
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> int:
    """Parse a command line, prepare a dataset, and print the report.

    Args:
        name: of the module.
        description: of the command.
        prepare: called with `raw`, `out`, `seed`, `broken` and the further options.
        arguments: the command line; None takes that of the process.
        broken: the default for unusable images.
        options: further options, with the keyword arguments of `add_argument` for each.

    Returns:
        The exit code, as `ended` gives it.
    """
    parser = argparse.ArgumentParser(prog=f"python -m data_prep.{name}", description=description)
    add = partial(parser.add_argument, metavar="FOLDER", type=Path, required=True)
    add("--raw", help="the raw release, or the catalogue's images")
    add("--out", help="where the datasets are, often data")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random division (default: %(default)s)"
    )
    parser.add_argument(
        "--broken",
        choices=BROKEN,
        default=broken,
        help="stop at unusable images, or leave them out (default: %(default)s)",
    )
    for option, details in (options or {}).items():
        parser.add_argument(f"--{option}", **details)
    values = vars(parser.parse_args(arguments))
    return ended(lambda: print(prepare(folder(values.pop("raw")), values.pop("out"), **values)))


def folder(raw: Path | str) -> Path:
    """Return the folder of a raw release, after checking that there is one.

    Raises:
        AnnotationError: there is none.
    """
    place = Path(raw)
    if not place.is_dir():
        near = [path.name for path in place.parent.glob("*/")] if place.parent.is_dir() else []
        raise AnnotationError(
            "the raw release, or the images of the catalogue, must be a folder",
            path=place,
            got="a file" if place.exists() else "no such folder",
            remedy=f"correct --raw: beside it {did_you_mean(place.name, sorted(near)[:_SHOWN])}",
        )
    return place


def ended(command: Callable[[], int | None]) -> int:
    """Run a command, and end it with a sentence instead of a traceback.

    Args:
        command: does the work; returns an exit code, or None if all went well.

    Returns:
        0, or what `command` returned; 2 if the user's input cannot be used, and 1 for a fault of
        this program, either of which is printed; 130 after Ctrl-C.
    """
    try:
        code = command() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough: `python -m data_prep.check ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still unsaid
        return 0
    except KeyboardInterrupt:
        code, message = 130, "interrupted"
    except OSError as error:  # a full disk, a folder that may not be written
        code, message = 2, f"error: cannot read or write: {error}; give another path"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        own = any(Path(place.filename).is_relative_to(_ROOT / name) for name in _PACKAGES)
        if isinstance(error, ValueError) and own:  # each of our own errors says what to do
            code, message = 2, f"error: {error}"
        else:
            where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
            message = f"a fault of this program, not of your input; please report it: {where}"
            code, message = 1, f"{message}: {error}"
    print(message, file=sys.stderr)
    return code


SPLITS_OPTION = {
    "splits": {"type": Path, "help": "the authors' split files, instead of a random division"}
}
