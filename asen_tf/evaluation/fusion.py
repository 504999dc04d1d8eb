"""How the weight of the two branches in the fused embedding bears on retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from asen_tf.annotations import Split
from asen_tf.evaluation.embedding import PairEmbeddings
from asen_tf.evaluation.retrieval import validation_map
from asen_tf.models import fuse

WEIGHTS = tuple(step / 10 for step in range(11))


def fusion_sweep(
    embedded: PairEmbeddings, split: Split, *, weights: Sequence[float] = WEIGHTS
) -> list[dict[str, float]]:
    """Measure the fused embedding at several weights of the global branch.

    Args:
        embedded: embeddings of the split's pairs, `global` and `local` among them.
        split: queries and candidates; the validation split, where weights are chosen.
        weights: `b`, from 0 (local alone) to 1 (global alone).

    Returns:
        One row per weight: `weight`, and `map` over all queries in percent.
    """
    parts = [tf.constant(embedded.arrays[name]) for name in ("global", "local")]
    rows = []
    for weight in weights:
        fused = PairEmbeddings(embedded.pairs, {"fused": fuse(*parts, weight).numpy()})
        rows.append({"weight": weight, "map": validation_map(fused, split, "fused")})
    return rows
