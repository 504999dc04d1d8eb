"""The command line and the report that all preparations of raw releases share."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asen_tf.data import AnnotationError
from data_prep.releases import BROKEN

_SHOWN = 10  # names shown of the images left out


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
        The exit status: 0, or 1 after an error, which is printed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m data_prep.{name}", description=description)
    parser.add_argument("--raw", type=Path, required=True, help="the folder of the raw release")
    parser.add_argument("--out", type=Path, required=True, help="the folder of all datasets")
    parser.add_argument("--seed", type=int, default=0, help="of the random division")
    parser.add_argument(
        "--broken", choices=BROKEN, default=broken, help="what to do about unusable images"
    )
    for option, details in (options or {}).items():
        parser.add_argument(f"--{option}", **details)
    values = vars(parser.parse_args(arguments))
    try:
        print(prepare(values.pop("raw"), values.pop("out"), **values))
    except (AnnotationError, OSError) as error:  # a full disk, a folder that may not be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


SPLITS_OPTION = {
    "splits": {"type": Path, "help": "the authors' split files, instead of a random division"}
}
