"""A model that starts in a second: what it computes is written down once and kept for this user.

Building a model with Keras and tracing it takes most of the time of a first search. The trace with
its weights, a TensorFlow graph, is kept in `~/.cache/asen` and is all that later starts need. A
graph is a program, so it is never part of an index or a model that someone may have sent: only this
user can write to the folder, and its names contain the digests of the model's file and of the code.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from asen_apps.search.storage import model_fingerprint
from asen_tf.compatibility import installed_version
from asen_tf.files import file_digest, replacing, write_json

if TYPE_CHECKING:
    from asen_tf.embedder import Embedder

CACHE = "ASEN_CACHE"  # the environment variable that names another folder; empty for none
_KEPT = 5  # graphs; the ones used longest ago are removed
_INPUTS = ("images", "rows", "attributes", "boxes")


def open_embedder(path: Path | str, kind: type[Embedder] | None = None) -> Embedder:
    """Return an embedder for queries: as `Embedder.load`, in a fraction of the time.

    The first use of a model takes as long as loading it, and some seconds more. Vectors are those
    of the model up to rounding (1e-7), and the same at every use.

    Args:
        path: as for `Embedder.load`.
        kind: the class of the embedder; `Embedder` when None.

    Raises:
        asen_tf.embedder.EmbedderError: as for `Embedder.load`.
    """
    from asen_tf.embedder import Embedder, model_file  # TensorFlow

    kind, path = kind or Embedder, model_file(path)
    place = _place(path)
    if place is not None:
        with suppress(OSError, ValueError, KeyError):  # none, or not one that can be used
            return kind(FrozenModel(place))
    embedder = kind.load(path)
    if place is None or embedder.model.needs_boxes:
        return embedder
    with suppress(OSError):  # a full disk: later starts are slow, and nothing else
        _write(place, embedder.model)
        for old in sorted(place.parent.glob("*.graph"), key=os.path.getmtime)[:-_KEPT]:
            old.with_suffix(".json").unlink(missing_ok=True)
            old.unlink(missing_ok=True)
        return kind(FrozenModel(place))
    return embedder


class FrozenModel:
    """A model's graph, with what an embedder asks a `SimilarityModel` for.

    Attributes:
        attribute_names: as for `SimilarityModel`.
        embedding_names: likewise.
        source_size: likewise, px.
        global_size: likewise, px.
        map_extent: likewise.
        settings: its `fit` and `preprocessing`.
        fingerprint: `model_fingerprint` of the model.
    """

    needs_boxes = False

    def __init__(self, place: Path) -> None:
        about = json.loads(place.with_suffix(".json").read_bytes())
        content = place.with_suffix(".graph").read_bytes()
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise ValueError(f"{place}: not the graph that was written")
        os.utime(place.with_suffix(".graph"))  # it was used
        self.attribute_names = tuple(about["attributes"])
        self.embedding_names = tuple(about["embeddings"])
        self.source_size, self.global_size = about["source_size"], about["global_size"]
        self.map_extent = tuple(about["map_extent"])
        self.settings = SimpleNamespace(**about["settings"])
        self.fingerprint, self._outputs = about["fingerprint"], about["outputs"]
        import tensorflow as tf

        definition = tf.compat.v1.GraphDef.FromString(content)
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
        options = tf.compat.v1.ConfigProto()
        # Optimising the graph takes longer than running it once.
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.compat.v1.Session(graph=graph, config=options)

    def embed_pairs(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        attributes: np.ndarray,
        boxes: np.ndarray | None = None,
        *,
        wanted: tuple[str, ...] | None = None,
    ) -> dict[str, np.ndarray]:
        """Embed chosen (image, attribute) pairs, as `SimilarityModel.embed_pairs` does."""
        from asen_tf.models.base import check_pairs  # TensorFlow

        names = tuple(self._outputs) if wanted is None else wanted
        none = np.zeros((np.size(rows), 4), np.int32)  # boxes, which no such model takes
        check_pairs(images, (rows, attributes, none), self)
        given = (images, np.int32(rows), np.int32(attributes), none)
        feed = {f"{name}:0": value for name, value in zip(_INPUTS, given, strict=True)}
        found = self._session.run([self._outputs[name] for name in names], feed)
        return dict(zip(names, found, strict=True))


def _write(place: Path, model: Any) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    traced = model._traced(None).get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced)
    names = sorted(traced.structured_outputs)  # as TensorFlow flattens a dictionary
    content = frozen.graph.as_graph_def().SerializeToString()
    with replacing(place.with_suffix(".graph")) as temporary:
        temporary.write_bytes(content)
    about = {
        "attributes": list(model.attribute_names),
        "embeddings": list(model.embedding_names),
        "source_size": model.source_size,
        "global_size": model.global_size,
        "map_extent": model.map_extent,
        "settings": {name: getattr(model.settings, name) for name in ("fit", "preprocessing")},
        "fingerprint": model_fingerprint(model),
        "outputs": {name: one.name for name, one in zip(names, frozen.outputs, strict=True)},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_json(place.with_suffix(".json"), about)


def _place(path: Path) -> Path | None:
    """Return the path, without a suffix, of a model's graph; None without a safe folder."""
    folder = cache_folder()
    if folder is None or not path.is_file():
        return None
    return folder / f"{file_digest(path)[:32]}-{_code()}"


def cache_folder() -> Path | None:
    """Return the folder for what this user's commands keep; None if others could write to it."""
    told = os.environ.get(CACHE)
    if told == "":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(told or Path(home, "asen"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return None
    others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if about.st_uid == os.getuid() and not others else None


@cache
def _code() -> str:
    """Return a digest of the code that a graph was traced from, and of TensorFlow's version."""
    digest = hashlib.sha256(f"{installed_version('tensorflow')}".encode())
    root = Path(__file__).parents[2] / "asen_tf"
    for folder in ("backbones", "layers", "models"):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
