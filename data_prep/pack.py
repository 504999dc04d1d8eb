"""Optional TFRecord shards of a dataset, for network disks and GPUs.

`python -m data_prep.pack DATA_DIR --dataset NAME [--source-size 640] [--fit square]
[--quality 95]`; train with `packed=True` and the same source size and fit to use them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asen_tf.config import FITS
from asen_tf.data.shards import pack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.pack", description=__doc__)
    parser.add_argument("data_dir", type=Path, help="the folder of meta.json and the datasets")
    parser.add_argument("--dataset", required=True, help="the dataset's name in meta.json")
    parser.add_argument("--source-size", type=int, default=640, help="px, side of the images")
    parser.add_argument("--fit", default="square", choices=FITS, help="how they become squares")
    parser.add_argument("--quality", type=int, default=95, help="of the JPEG, 1 to 100")
    parser.add_argument("--shard-mib", type=float, default=128, help="approximate size of a shard")
    options = vars(parser.parse_args(arguments))
    try:
        path = pack(options.pop("data_dir"), options.pop("dataset"), **options)
    except ValueError as error:  # about an option, a split file or an image: each says what to do
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path.parent}: {len(list(path.parent.glob('[!.]*.tfrecord')))} shards")
    return 0


if __name__ == "__main__":
    sys.exit(main())
