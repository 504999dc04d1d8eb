"""From an authors' checkpoint to a model, with every array accounted for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from asen_tf.checkpoints import CheckpointError, read_state
from asen_tf.models import SimilarityModel
from asen_tf.weights.names import beyond_the_method, places

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
