"""The losses of metric learning by loops over pairs and triplets, in NumPy.

Of "batch all", whose parts are computed apart: the loss of a whole batch.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from asen_tf.losses import batch_all_terms

IMAGES = 4  # per value


def batch_all_loss(embeddings: tf.Tensor, values: tf.Tensor, margin: float) -> tf.Tensor:
    """Return the mean over the triplets that break the margin, as one replica trains with it."""
    total, active = batch_all_terms(embeddings, values, margin)
    return total / tf.maximum(active, 1.0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def semi_hard(e: np.ndarray, v: np.ndarray, margin: float) -> float:
    """Per positive pair the nearest negative farther than the positive, else the farthest one."""
    d, costs = 1.0 - unit(e) @ unit(e).T, []
    for a in range(len(v)):
        for p in range(len(v)):
            if a == p or v[a] != v[p]:
                continue
            negatives = [d[a, n] for n in range(len(v)) if v[n] != v[a]]
            farther = [x for x in negatives if x > d[a, p]]
            chosen = min(farther) if farther else max(negatives)
            costs.append(max(0.0, margin + d[a, p] - chosen))
    return float(np.mean(costs))


def hard(e: np.ndarray, v: np.ndarray, margin: float) -> float:
    """Per anchor the farthest positive against the nearest negative."""
    d, costs = 1.0 - unit(e) @ unit(e).T, []
    for a in range(len(v)):
        positives = [d[a, p] for p in range(len(v)) if v[p] == v[a] and p != a]
        negatives = [d[a, n] for n in range(len(v)) if v[n] != v[a]]
        costs.append(max(0.0, margin + max(positives) - min(negatives)))
    return float(np.mean(costs))


def npairs(e: np.ndarray, v: np.ndarray, margin: float) -> float:
    """Cross-entropy of ten times the cosines, the target shared by positives of equal value."""
    blocks = unit(e).reshape(-1, IMAGES, e.shape[-1])
    anchors = blocks[:, : IMAGES // 2].reshape(-1, e.shape[-1])
    positives = blocks[:, IMAGES // 2 :].reshape(-1, e.shape[-1])
    labels, costs = v.reshape(-1, IMAGES)[:, : IMAGES // 2].ravel(), []
    for i, anchor in enumerate(anchors):
        logits = 10.0 * positives @ anchor
        logs = logits - math.log(np.exp(logits).sum())
        costs.append(-np.mean(logs[labels == labels[i]]))
    return float(np.mean(costs))


def lifted_struct(e: np.ndarray, v: np.ndarray, margin: float) -> float:
    """Per positive pair the soft maximum over all negatives of both ends; half its square."""
    u = unit(e)
    d, costs = np.sqrt(((u[:, None] - u[None]) ** 2).sum(-1)), []
    for i in range(len(v)):
        for j in range(i + 1, len(v)):
            if v[i] != v[j]:
                continue
            total = sum(
                math.exp(1.0 - d[end, n]) for end in (i, j) for n in range(len(v)) if v[n] != v[i]
            )
            costs.append(max(0.0, math.log(total) + d[i, j]) ** 2 / 2)
    return float(np.mean(costs))


def contrastive(e: np.ndarray, v: np.ndarray, margin: float) -> float:
    """Squared distance of equal pairs, squared shortfall to 1 of different ones."""
    u, costs = unit(e), []
    for i in range(len(v)):
        for j in range(i + 1, len(v)):
            d = math.sqrt(((u[i] - u[j]) ** 2).sum())
            costs.append(d**2 if v[i] == v[j] else max(0.0, 1.0 - d) ** 2)
    return float(np.mean(costs))


def e_info_nce(
    r: np.ndarray, p: np.ndarray, b: np.ndarray, attributes: np.ndarray, values: np.ndarray
) -> float:
    """Per image, log of all terms of the denominator over those of its own value."""
    r, p, b, costs = unit(r), unit(p), unit(b), []
    for i in range(len(r)):
        positive = negative = hidden = 0.0
        for j in range(len(r)):
            term = math.exp(float(r[i] @ p[j]) / 0.07)
            if attributes[j] == attributes[i] and values[j] == values[i]:
                positive += term
            else:
                negative += term
            if attributes[j] == attributes[i]:
                hidden += math.exp(float(r[i] @ b[j]) / 0.07)
        costs.append(math.log((positive + negative + 12.0 * hidden) / positive))
    return float(np.mean(costs))


NAIVE = {
    "semi_hard": semi_hard,
    "hard": hard,
    "npairs": npairs,
    "lifted_struct": lifted_struct,
    "contrastive": contrastive,
}
