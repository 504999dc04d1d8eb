"""From an authors' checkpoint to a model, with every array accounted for.

Where each weight of a model is kept in the authors' checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from asen_tf.backbones.build import KINDS, torchvision_name
from asen_tf.backbones.checkpoints import CheckpointError, read_state
from asen_tf.models import Asen, AsenPlusPlus, AsenV2, ConditionalSimilarityNetwork, SimilarityModel

# Parts of a branch here, and what the authors call them.
_ASEN_PP = {
    "spatial_attention/key": "conv",
    "spatial_attention/query": "attr_transform1",
    "channel_attention/attribute": "attr_transform2",
    "channel_attention/squeeze": "fc1",
    "channel_attention/gate": "fc2",
    "embedding": "feature_fc",
}
_ASEN = {
    "spatial_attention/key": "conv1",
    "spatial_attention/query": "mask_fc1",
    "spatial_attention/score": "conv2",
    "channel_attention/attribute": "mask_fc2",
    "channel_attention/squeeze": "fc1",
    "channel_attention/gate": "fc2",
    "embedding": "feature_fc",
}
_ASEN_V2 = {
    "spatial_attention/key": "conv1",
    "spatial_attention/key_norm": "img_bn1",
    "spatial_attention/query": "attr_transform1",
    "channel_attention/attribute": "attr_transform2",
    "channel_attention/squeeze": "fc1",
    "channel_attention/gate": "fc2",
}
_CSN = {"embedding": "embed_fc"}


@dataclass(frozen=True)
class Place:
    """A weight and where to find it.

    Attributes:
        variable: the weight.
        name: its name in the checkpoint.
        kind: "kernel", "bias", "gamma" and so on for weights of layers; "table" for arrays that
            are taken as they are.
        convolution: whether the layer is one of the backbone's convolutions.
    """

    variable: tf.Variable
    name: str
    kind: str
    convolution: bool = False

    def turned(self, array: np.ndarray) -> np.ndarray:
        """Return the checkpoint's array in Keras' layout."""
        if self.convolution:
            return KINDS[self.kind][1](array)
        if self.kind == "kernel":  # a linear layer, or a 1x1 convolution
            return array.reshape(array.shape[:2]).T
        return array


_HOME = "embeddingnet."  # of the 2020 release's arrays
_HEADS: Mapping[type, tuple[Mapping[str, str], str]] = {
    Asen: (_ASEN, f"{_HOME}backbonenet."),
    AsenV2: (_ASEN_V2, f"{_HOME}backbonenet."),
    # The network inside CSN is called as the whole is.
    ConditionalSimilarityNetwork: (_CSN, f"{_HOME}embeddingnet."),
}


def places(model: SimilarityModel) -> Iterator[Place]:
    """Say where each weight of a model is kept in the authors' checkpoint of its method.

    Raises:
        TypeError: the authors released no checkpoint of the model's method.
    """
    if isinstance(model, AsenPlusPlus):
        for part, branch in (("global", model.global_branch), ("local", model.local_branch)):
            home = f"choices.{part}."
            yield from _branch(branch, part, _ASEN_PP, f"{home}attnnet.", f"{home}basenet.")
        table = "choices.global.attrnet.attr_embedding.weight"
        yield Place(model.attribute_table.embeddings, table, "table")
        return
    _check_released(model)
    head, backbone = _HEADS[type(model)]
    yield from _branch(model.branch, "global", head, _HOME, backbone)
    if isinstance(model, AsenV2):
        table = f"{_HOME}attr_embedding.weight"
        yield Place(model.attribute_table.embeddings, table, "table")
    if isinstance(model, ConditionalSimilarityNetwork):
        mask = model.branch.get_layer("global_mask").weight
        yield Place(mask, f"{_HOME}masks.weight", "table")


def beyond_the_method(model: SimilarityModel) -> re.Pattern[str]:
    """Return what matches the arrays that a checkpoint may hold and the method does not use.

    The authors' backbones are whole ResNets: a classifier (`fc`), and in earlier revisions a fourth
    stage (`layer4`), are built and saved with the others; no image passes through them.

    Raises:
        TypeError: the authors released no checkpoint of the model's method.
    """
    if isinstance(model, AsenPlusPlus):
        homes = [f"choices.{part}.basenet." for part in ("global", "local")]
    else:
        _check_released(model)
        homes = [_HEADS[type(model)][1]]
    backbones = "|".join(map(re.escape, homes))
    return re.compile(rf"(?:{backbones})(?:fc\.(?:weight|bias)|layer4\..+)")


def _check_released(model: SimilarityModel) -> None:
    if type(model) not in _HEADS:
        raise TypeError(
            "the authors released checkpoints of asen_pp, asen, asen_v2 and csn; got a "
            f"{type(model).__name__}"
        )


def _branch(
    branch: tf.keras.Model, part: str, head: Mapping[str, str], home: str, backbone: str
) -> Iterator[Place]:
    for variable in branch.get_layer(f"{part}_backbone").weights:
        name, kind = torchvision_name(variable, f"{part}_")
        yield Place(variable, f"{backbone}{name}", kind, convolution=kind == "kernel")
    for variable in branch.weights:
        layer, kind = variable.name.split(":")[0].removeprefix(f"{part}_").rsplit("/", 1)
        if layer in head:
            name = KINDS[kind][0] if kind in KINDS else kind  # a bias is called so in both
            yield Place(variable, f"{home}{head[layer]}.{name}", kind)


# PyTorch's counters of batches; and ASEN++'s attribute table, which both branches list.
_COUNTERS = re.compile(r".*\.num_batches_tracked")
_TABLES = tuple(f"choices.{part}.attrnet.attr_embedding.weight" for part in ("global", "local"))


def load_authors_checkpoint(path: Path | str, model: SimilarityModel) -> tuple[str, ...]:
    """Put the weights of an authors' checkpoint into a model.

    Two releases are known: ASEN++ (2021), whose arrays are under "model", and ASEN, ASENet_V2 and
    ConditionalSimNet (2020), under "state_dict".

    Args:
        path: the authors' `.pth.tar` file, or one that their code wrote.
        model: of the same method and size, with as many attributes; its weights are replaced.

    Returns:
        The arrays that the checkpoint holds and the method does not use, by name: classifier and
        fourth stage of the authors' backbones, which no image passes through.

    Raises:
        CheckpointError: the file cannot be read safely, or does not fit: arrays that are missing,
            unexpected, or of another shape are listed, all of them. The model is left as it was.
        TypeError: the authors released no checkpoint of the model's method.
    """
    wanted = {place.name: place for place in places(model)}
    state = read_state(path, under=("model", "state_dict"))
    faults = [f"missing: {name}" for name in wanted if name not in state]
    expected = {*wanted, *(_TABLES if _TABLES[0] in wanted else ())}
    further = [name for name in state if name not in expected and not _COUNTERS.fullmatch(name)]
    known = beyond_the_method(model)
    unused = tuple(name for name in further if known.fullmatch(name))
    faults += [f"unexpected: {name}" for name in further if name not in unused]
    turned = {}
    for name, place in wanted.items():
        if name not in state:
            continue
        shape = tuple(place.variable.shape)
        array = state[name]
        fits = array.size == np.prod(shape, dtype=int)
        turned[name] = place.turned(array) if fits and array.ndim > 0 else array
        if turned[name].shape != shape:
            faults.append(f"shape of {name}: {array.shape} does not fit {shape}")
    if all(name in state for name in _TABLES) and not np.array_equal(*map(state.get, _TABLES)):
        faults.append(f"{_TABLES[0]} and {_TABLES[1]} must be the same table")
    if faults:
        raise CheckpointError(
            f"{path}: the checkpoint does not fit this {type(model).__name__} with "
            f"{model.attribute_count} attributes:\n  " + "\n  ".join(faults)
        )
    for name, place in wanted.items():
        place.variable.assign(turned[name])
    return unused
