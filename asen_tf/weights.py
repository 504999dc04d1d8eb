"""From an authors' checkpoint to a model, with every array accounted for."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from asen_tf.backbones.checkpoints import (
    KINDS,
    CheckpointError,
    Place,
    fill,
    read_state,
    torchvision_place,
)
from asen_tf.models import Asen, AsenPlusPlus, AsenV2, ConditionalSimilarityNetwork, SimilarityModel

__path__: list[str] = []  # it was a package: imports of its modules are told where they are now

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

_HOME = "embeddingnet."  # of the 2020 release's arrays
_HEADS: Mapping[type, tuple[Mapping[str, str], str]] = {
    Asen: (_ASEN, f"{_HOME}backbonenet."),
    AsenV2: (_ASEN_V2, f"{_HOME}backbonenet."),
    # The network inside CSN has the same name as the whole.
    ConditionalSimilarityNetwork: (_CSN, f"{_HOME}embeddingnet."),
}

# What a checkpoint of ASEN++'s stage 1 lacks, and the attribute table, which both branches list.
_LOCAL = re.compile(r"choices\.local\.")
_TABLES = tuple(f"choices.{part}.attrnet.attr_embedding.weight" for part in ("global", "local"))


def load_authors_checkpoint(path: Path | str, model: SimilarityModel) -> tuple[str, ...]:
    """Put the weights of an authors' checkpoint into a model.

    Two releases are known: ASEN++ (2021), whose arrays are under "model", and ASEN, ASENet_V2 and
    ConditionalSimNet (2020), under "state_dict".

    ASEN++'s stage 1 alone, a checkpoint without a local branch, makes the model a global one
    (`joint` is False): its local branch stays as it was and is not used.

    Args:
        path: the authors' `.pth.tar` file, or one that their code wrote.
        model: of the same method and size, with as many attributes; its weights are replaced.

    Returns:
        The arrays that the checkpoint holds and the method does not use, by name: classifier and
        fourth stage of the authors' backbones, which no image passes through.

    Raises:
        CheckpointError: the file cannot be read safely, or does not fit: arrays that are missing,
            unexpected, or of another shape are listed, all of them; or the model has weights that
            no checkpoint has. The model is left as it was.
        TypeError: the authors released no checkpoint of the model's method.
    """
    wanted = list(places(model))
    named = {id(place.variable) for place in wanted}
    if beyond := [weight.name for weight in model.weights if id(weight) not in named]:
        raise CheckpointError(
            f"{path}: the authors' models are one network, with one attribute table; this "
            f"{type(model).__name__} also has {', '.join(beyond[:3])}; build it with the settings "
            "networks=1 and attribute_tables='shared'"
        )
    state = read_state(path, under=("model", "state_dict"))
    faults = []
    stage1 = isinstance(model, AsenPlusPlus) and not any(map(_LOCAL.match, state))
    if stage1:
        wanted = [place for place in wanted if not _LOCAL.match(place.name)]
    if type(model) is AsenPlusPlus and all(name in state for name in _TABLES):
        if not np.array_equal(state[_TABLES[0]], state.pop(_TABLES[1])):
            faults.append(f"{_TABLES[0]} and {_TABLES[1]} must be the same table")
    fits = f"{type(model).__name__} with {model.attribute_count} attributes"
    heading = f"{path}: the checkpoint does not fit this {fits}"
    unused = fill(wanted, state, unused=_beyond_the_method(model), heading=heading, faults=faults)
    if isinstance(model, AsenPlusPlus):
        model.joint = not stage1
    return unused


def places(model: SimilarityModel) -> Iterator[Place]:
    """Yield where the authors' checkpoint of its method keeps each weight of a model.

    Raises:
        TypeError: the authors released no checkpoint of the model's method.
    """
    if type(model) is AsenPlusPlus:
        for part, branch in (("global", model.global_branch), ("local", model.local_branch)):
            home = f"choices.{part}."
            yield from _branch(branch, part, _ASEN_PP, f"{home}attnnet.", f"{home}basenet.")
        yield Place(model.attribute_table.embeddings, _TABLES[0], "table")
        return
    if type(model) not in _HEADS:
        raise TypeError(
            "the authors released checkpoints of asen_pp, asen, asen_v2 and csn; got a "
            f"{type(model).__name__}"
        )
    head, backbone = _HEADS[type(model)]
    yield from _branch(model.branch, "global", head, _HOME, backbone)
    if isinstance(model, AsenV2):
        table = f"{_HOME}attr_embedding.weight"
        yield Place(model.attribute_table.embeddings, table, "table")
    if isinstance(model, ConditionalSimilarityNetwork):
        mask = model.branch.get_layer("global_mask").weight
        yield Place(mask, f"{_HOME}masks.weight", "table")


def _beyond_the_method(model: SimilarityModel) -> re.Pattern[str]:
    """Return a pattern of the arrays that a checkpoint may hold and the method does not use.

    The authors' backbones are whole ResNets: a classifier (`fc`), and in earlier revisions a fourth
    stage (`layer4`), are built and saved with the others; no image passes through them.
    """
    if type(model) is AsenPlusPlus:
        backbone = r"choices\.(?:global|local)\.basenet\."
    else:
        backbone = re.escape(_HEADS[type(model)][1])
    return re.compile(rf"{backbone}(?:fc\.(?:weight|bias)|layer4\..+)")


def _branch(
    branch: keras.Model, part: str, head: Mapping[str, str], home: str, backbone: str
) -> Iterator[Place]:
    for variable in branch.get_layer(f"{part}_backbone").weights:
        yield torchvision_place(variable, prefix=f"{part}_", home=backbone)
    for variable in branch.weights:
        layer, kind = variable.name.split(":")[0].removeprefix(f"{part}_").rsplit("/", 1)
        if layer in head:
            name = KINDS.get(kind, kind)  # a bias is a bias in both
            yield Place(variable, f"{home}{head[layer]}.{name}", kind)


if __name__ == "__main__":
    print("`python -m asen_tf.weights` is now called `asen weights`", file=sys.stderr)
    above = importlib.import_module("asen_apps.commands")  # on a floor above this one
    sys.exit(above.main(["weights", *sys.argv[1:]]))
