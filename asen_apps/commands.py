"""The command line: `python -m asen_tf embed`, `index` or `search`; `--help` says more."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asen_tf.files import replacing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every image was used, else 1."""
    parser = argparse.ArgumentParser(prog="asen")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_embed(commands)
    _add_index(commands)
    _add_search(commands)
    options = parser.parse_args(arguments)
    if options.command == "embed" and options.out.suffix != ".npz":
        parser.error(f"the vectors' file must end in .npz; got {options.out}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    try:
        return {"embed": _embed, "index": _index, "search": _search}[options.command](options)
    except ValueError as error:  # of a model, an image, an index, a name: each says what to do
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot read or write: {error}; give another path", file=sys.stderr)
        return 1


def _add_embed(commands: argparse._SubParsersAction) -> None:
    embed = commands.add_parser(
        "embed",
        help="embed image files",
        description="Embed image files with a saved model. The archive holds `vectors`, one "
        "row per image and attribute, length 1; `paths`; and `attributes`.",
    )
    _add_model(embed)
    embed.add_argument("images", type=Path, nargs="+", help="image files")
    _add_choices(embed)
    embed.add_argument("--out", type=Path, required=True, help="the .npz file to write")


def _add_index(commands: argparse._SubParsersAction) -> None:
    index = commands.add_parser(
        "index",
        help="make a catalogue of image files that can be searched",
        description="Embed image files with a saved model, and write an index of them to a "
        "folder. An index that is there is replaced as a whole.",
    )
    _add_model(index)
    index.add_argument("images", type=Path, nargs="+", help="image files")
    _add_choices(index)
    index.add_argument(
        "--backend", default="auto", help="auto, exact, hnsw, or a Milvus address; default auto"
    )
    index.add_argument(
        "--dtype", default="float32", help="float16 halves the size; default float32"
    )
    index.add_argument("--out", type=Path, required=True, help="the folder to write")


def _add_search(commands: argparse._SubParsersAction) -> None:
    search = commands.add_parser(
        "search",
        help="find the images of an index that are most alike a given one",
        description="Print one line per hit, best first, separated by tabs: score, id, image, "
        "and the cosine of each attribute.",
    )
    search.add_argument("index", type=Path, help="a folder that `index` wrote")
    _add_model(search)
    search.add_argument("image", type=Path, help="the image to compare with")
    search.add_argument(
        "--attribute",
        action="append",
        required=True,
        metavar="NAME[=WEIGHT]",
        help="repeat for a weighted sum; weight 1 if none is given",
    )
    search.add_argument("-k", type=int, default=10, help="how many; default 10")
    search.add_argument("--root", type=Path, help="the images' folder, if it has moved")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a .keras file")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--attribute", action="append", help="repeat for several; all by default")
    parser.add_argument("--embedding", help="global, local or fused; the best one by default")


class _Broken(list):
    """Counts the images that cannot be used, and tells of each."""

    def __call__(self, error: Exception) -> None:
        self.append(error)
        print(error, file=sys.stderr)

    def end(self, line: str) -> int:
        """Print the last line; return the exit code."""
        print(line + (f"; {len(self)} images left out" if self else ""))
        return int(bool(self))


def _embed(options: argparse.Namespace) -> int:
    from asen_tf.embedder import Embedder

    embedder, broken = Embedder.load(options.model), _Broken()
    vectors = embedder.embed_all(
        options.images,
        attributes=options.attribute,
        embedding=options.embedding,
        progress=True,
        skip=broken,
    )
    if not vectors.size:  # the dimension is known with the first usable image
        raise ValueError(f"{options.out}: not written: no image can be used")
    usable = ~np.isnan(vectors).all(axis=(1, 2))
    with replacing(options.out) as temporary:
        np.savez(
            temporary,
            vectors=vectors[usable],
            paths=np.array([str(path) for path in options.images])[usable],
            attributes=np.array(options.attribute or embedder.attribute_names),
        )
    return broken.end(f"{options.out}: {usable.sum()} images, {vectors.shape[1]} attributes")


def _index(options: argparse.Namespace) -> int:
    from asen_apps.search import AttributeIndex
    from asen_tf.embedder import Embedder

    broken = _Broken()
    index = AttributeIndex.build(
        Embedder.load(options.model),
        options.images,
        embedding=options.embedding,
        backend=options.backend,
        dtype=options.dtype,
        skip=broken,
    )
    index.prepare(options.attribute)
    if not len(index):
        raise ValueError(f"{options.out}: not written: no image can be used")
    try:
        index.save(options.out)
    finally:
        index.drop_unsaved()  # of Milvus, which a failed saving would leave there
    names = options.attribute or index.attribute_names
    return broken.end(f"{options.out}: {len(index)} images, {len(names)} attributes")


def _search(options: argparse.Namespace) -> int:
    from asen_apps.search import AttributeIndex
    from asen_tf.embedder import Embedder

    weights = {}
    for asked in options.attribute:
        name, _, weight = asked.partition("=")
        try:
            weights[name] = float(weight) if weight else 1.0
        except ValueError:
            raise ValueError(f"--attribute is NAME or NAME=WEIGHT; got {asked!r}") from None
    index = AttributeIndex.load(options.index, Embedder.load(options.model), root=options.root)
    try:
        for hit in index.search(options.image, weights, options.k):
            parts = "\t".join(f"{name} {cosine:.4f}" for name, cosine in hit.parts.items())
            print(f"{hit.score:.4f}\t{hit.id}\t{hit.image}\t{parts}")
    finally:
        index.drop_unsaved()  # vectors of an attribute that was not embedded before
    return 0


if __name__ == "__main__":
    sys.exit(main())
