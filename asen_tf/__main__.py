"""The command line: `python -m asen_tf embed MODEL IMAGES... --attribute NAME --out FILE.npz`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asen_tf.files import replacing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every image was embedded, else 1."""
    parser = argparse.ArgumentParser(prog="python -m asen_tf")
    commands = parser.add_subparsers(dest="command", required=True)
    embed = commands.add_parser(
        "embed",
        help="embed image files",
        description="Embed image files with a saved model. The archive holds `vectors`, one "
        "row per image and attribute, length 1; `paths`; and `attributes`.",
    )
    embed.add_argument("model", type=Path, help="a .keras file")
    embed.add_argument("images", type=Path, nargs="+", help="image files")
    embed.add_argument("--attribute", action="append", help="repeat for several; all by default")
    embed.add_argument("--embedding", help="global, local or fused; the best one by default")
    embed.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".npz":
        embed.error(f"the vectors' file must end in .npz; got {options.out}")
    return _embed(options)


def _embed(options: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    from asen_tf.embedder import Embedder, EmbedderError

    broken: list[str] = []

    def skip(error: Exception) -> None:
        broken.append(str(error))
        print(error, file=sys.stderr)

    try:
        embedder = Embedder.load(options.model)
        vectors = embedder.embed_all(
            options.images,
            attributes=options.attribute,
            embedding=options.embedding,
            progress=True,
            skip=skip,
        )
    except (EmbedderError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    usable = ~np.isnan(vectors).all(axis=(1, 2))
    with replacing(options.out) as temporary:
        np.savez(
            temporary,
            vectors=vectors[usable],
            paths=np.array([str(path) for path in options.images])[usable],
            attributes=np.array(options.attribute or embedder.attribute_names),
        )
    print(f"{options.out}: {usable.sum()} images, {vectors.shape[1]} attributes", end="")
    print(f"; {len(broken)} images left out" if broken else "")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
