"""The command line: `asen index`, `search`, `serve`, `tag`, `explore`, `embed`, `weights`, ...

Exit codes: 0 if all went well and every image was used; 2 if some or all of the user's input
(an image, a model, a path, a name) cannot be used; 1 for a fault of this program; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from asen_apps.search import command
from asen_apps.search.command import INPUT, USED
from asen_tf.files import DiskFullError, replacing

FAULT, INTERRUPTED = 1, 130

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="asen",
        description="Use a trained model: embed images, search them by attribute, explore a study.",
        epilog="`asen COMMAND --help` says more about a command.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (_add_index, _add_search, _add_serve, _add_attributes, _add_tag, _add_explore)
    for add in (*adders, _add_embed, _add_weights):
        add(commands)
    options, rest = parser.parse_known_args(arguments)
    if options.command == "explore":
        options.rest = rest
    elif hasattr(options, "images") and not any(one != "-" and one[:1] == "-" for one in rest):
        options.images += rest  # images behind an option, which argparse does not look for
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files that are no UTF-8
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _report("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader has seen enough: `asen search ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still unsaid
        return USED
    except DiskFullError as error:
        return _report(str(error), INPUT)
    except OSError as error:
        return _report(f"cannot read or write: {error}; give another path", INPUT)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if isinstance(error, ValueError) and _is_ours(Path(frame.filename)):
            return _report(str(error), INPUT)  # each of our own errors says what to do
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        what = f"{type(error).__name__} in {place}: {error}"
        return _report(
            f"a fault of this program, not of your input; please report it: {what}", FAULT
        )


def _is_ours(file: Path) -> bool:
    project = Path(__file__).parents[1]
    floors = ("asen_tf", "asen_study", "asen_apps")
    return any(file.is_relative_to(project / floor) for floor in floors)


def _report(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


# === The commands and their options ===


def _add(
    commands: argparse._SubParsersAction, run: Command, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=description)
    parser.set_defaults(run=run)
    return parser


def _add_embed(commands: argparse._SubParsersAction) -> None:
    description = (
        "Embed image files with a saved model. The archive holds `vectors`, one row per image and "
        "attribute, of length 1; `paths`; and `attributes`."
    )
    embed = _add(commands, _embed, "embed", "write the vectors of image files", description)
    _add_images(embed)
    embed.add_argument(
        "--out", type=_ending(".npz"), required=True, metavar="FILE", help="the .npz file to write"
    )


def _add_index(commands: argparse._SubParsersAction) -> None:
    description = (
        "Make an index of a catalogue: of a table and its images (--csv, --images), or of files, "
        "folders and lists of names. An index that is there is replaced, or brought up to date "
        "(--update). After a kill the same command continues where it stopped. Images "
        "that cannot be read are listed, with reasons, in FOLDER.unreadable.csv."
    )
    parser = _add(
        commands, command.run_index, "index", "make a searchable catalogue of images", description
    )
    command.add_index(parser)


def _add_search(commands: argparse._SubParsersAction) -> None:
    description = (
        "Find the images of a catalogue that are most like a given one. Each score comes with "
        "the share of random pairs of this catalogue that reach it: how common it is. A running "
        "`asen serve` answers in a fraction of the time."
    )
    parser = _add(
        commands, command.run_search, "search", "find the images most like a given one", description
    )
    command.add_search(parser)


def _add_serve(commands: argparse._SubParsersAction) -> None:
    description = (
        "Keep an index and its model in memory and answer searches from this machine, by `asen "
        "search` or, with a token, by other programs over HTTP. Ctrl-C stops it."
    )
    parser = _add(
        commands, command.run_serve, "serve", "answer searches quickly, until stopped", description
    )
    command.add_serve(parser)


def _add_attributes(commands: argparse._SubParsersAction) -> None:
    description = (
        "List the attributes that a model or an index knows, with the model's MAP on "
        "the test split where its run has one."
    )
    parser = _add(
        commands, command.run_attributes, "attributes", "list the known attributes", description
    )
    command.add_attributes(parser)


def _add_tag(commands: argparse._SubParsersAction) -> None:
    description = (
        "Fill the empty cells of a catalogue's table. For each attribute, the labelled images most "
        "like an unlabelled one vote; the vote is written where it is sure enough, with its "
        "confidence in a column of its own. Cells with a value never change."
    )
    tag = _add(commands, _tag, "tag", "fill the empty cells of a catalogue", description)
    _add_model(tag)
    tag.add_argument(
        "--index", type=Path, required=True, metavar="FOLDER", help="a folder that `index` wrote"
    )
    tag.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="the table: a column `image` and one per attribute (default: the metadata of the "
        "index)",
    )
    tag.add_argument(
        "--attribute",
        action="append",
        metavar="NAME",
        help="repeat it for several (default: all that the table has a column for)",
    )
    tag.add_argument(
        "--confidence",
        type=float,
        default=0.8,
        metavar="SHARE",
        help="how sure a vote must be, 0 to 1, or its cell stays empty (default: %(default)s)",
    )
    tag.add_argument(
        "--validation",
        type=Path,
        metavar="DATA/NAME",
        help="learn from this dataset's validation images how sure a vote is (default: from the "
        "labelled images of the catalogue, which is too sure if the model was trained on them)",
    )
    tag.add_argument(
        "--root", type=Path, metavar="FOLDER", help="where the images are, if they have moved"
    )
    tag.add_argument(
        "--out", type=_ending(".csv"), required=True, metavar="FILE", help="the .csv file to write"
    )


def _add_explore(commands: argparse._SubParsersAction) -> None:
    explore = commands.add_parser(
        "explore", help="search a study or an index in the browser", add_help=False
    )
    explore.set_defaults(run=_explore)  # it parses its own options


def _add_weights(commands: argparse._SubParsersAction) -> None:
    description = "Put the weights of an authors' PyTorch checkpoint into a model of this package."
    weights = _add(commands, _weights, "weights", "convert an authors' checkpoint", description)
    weights.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="the authors' .pth.tar file"
    )
    weights.add_argument(
        "out", type=_ending(".keras"), metavar="OUT", help="the .keras file to write"
    )
    weights.add_argument(
        "--method",
        choices=("asen_pp", "asen", "asen_v2", "csn"),
        default="asen_pp",
        help="the method of the checkpoint (default: %(default)s)",
    )
    weights.add_argument(
        "--dataset",
        default="FashionAI",
        help="the dataset's name in meta.json (default: %(default)s)",
    )
    weights.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        metavar="FOLDER",
        help="where meta.json is (default: %(default)s)",
    )
    weights.add_argument(
        "--attributes",
        nargs="+",
        metavar="NAME",
        help="the attributes in the order of training, if there is no meta.json",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a .keras file or the folder of a study"
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files, folders of images, .txt files with a name per line, or - for names on "
        "standard input",
    )
    command.add_choice(parser)


def _ending(suffix: str) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        if not text.endswith(suffix):
            raise argparse.ArgumentTypeError(f"the file's name must end in {suffix}; got {text}")
        return Path(text)

    return path


# === What they do ===


class _Broken(list):
    """The errors of images that cannot be used; each is printed as it arrives."""

    def __call__(self, error: Exception) -> None:
        self.append(error)
        print(error, file=sys.stderr)

    def end(self, line: str) -> int:
        """Print the last line; return the exit code."""
        print(line + (f"; {len(self)} images left out" if self else ""))
        return INPUT if self else USED


def _images(arguments: Sequence[str], broken: _Broken) -> list[Path]:
    """Return the image files that the arguments name, and report the other files."""
    from asen_apps.search.items import image_files

    images, unusable, notes = image_files(arguments)
    for error in unusable:
        broken(error)
    for note in notes:
        print(note, file=sys.stderr)
    return images


def _embed(options: argparse.Namespace) -> int:
    from asen_tf.embedder import Embedder

    embedder, broken = Embedder.load(options.model), _Broken()
    images = _images(options.images, broken)
    vectors = embedder.embed_all(
        images,
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
            paths=np.array([str(path) for path in images])[usable],
            attributes=np.array(options.attribute or embedder.attribute_names),
        )
    return broken.end(f"{options.out}: {usable.sum()} images, {vectors.shape[1]} attributes")


def _tag(options: argparse.Namespace) -> int:
    from asen_apps.search import AttributeIndex
    from asen_apps.search.tagging import as_table, tag
    from asen_tf.embedder import Embedder

    broken = _Broken()
    index = AttributeIndex.load(options.index, Embedder.load(options.model), root=options.root)
    try:
        table, fillings = tag(
            index,
            options.csv,
            attributes=options.attribute,
            confidence=options.confidence,
            validation=options.validation,
            skip=broken,
        )
    finally:
        index.drop_unsaved()  # vectors of an attribute that was not embedded before
    table.write(options.out)
    print(as_table(fillings))
    if options.validation is None:
        print(
            "caution: the confidence was learned from labelled images of the catalogue itself; if "
            "the model was trained on them, it is too high, and so is the expected accuracy; give "
            "images that the model has not seen by --validation DATA/NAME",
            file=sys.stderr,
        )
    filled = sum(filling.filled for filling in fillings)
    return broken.end(f"{options.out}: {len(table.rows)} rows, {filled} cells filled")


def _explore(options: argparse.Namespace) -> int:
    from asen_apps.explorer.__main__ import main as explore

    return explore(options.rest)


def _weights(options: argparse.Namespace) -> int:
    from asen_tf.data import AnnotationError, read_meta
    from asen_tf.models import build_model
    from asen_tf.presets import preset
    from asen_tf.weights import load_authors_checkpoint

    attributes = options.attributes
    if not attributes:
        if not (options.data / "meta.json").exists():
            raise AnnotationError(
                "the model needs its attributes' names, which are in meta.json",
                path=options.data / "meta.json",
                got="no such file",
                remedy="give its folder by --data, or the names in their order by --attributes",
            )
        attributes = read_meta(options.data, options.dataset).names
    config = preset("paper").override(method=options.method, dataset=options.dataset)
    model = build_model(config.override(preprocessing="release"), attributes)
    unused = load_authors_checkpoint(options.checkpoint, model)
    with replacing(options.out) as temporary:
        model.save(temporary)
    print(f"{options.out}: {options.method}, {', '.join(attributes)}")
    if not model.joint:
        print(
            "This is a checkpoint of stage 1, which has no local branch: the model embeds by the "
            "global branch alone."
        )
    if unused:
        print(f"not used by the method ({len(unused)} arrays): {', '.join(unused)}")
    return USED


if __name__ == "__main__":
    sys.exit(main())
