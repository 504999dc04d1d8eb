"""Training steps as the workers of a cluster divide them: each reads its own half, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from memory_images import Memory
from PIL import Image
from small_model import pictures

from asen_tf.data.images import CachedImages, FileImages, ImageError
from asen_tf.data.pipeline import training_steps
from asen_tf.data.sampling import Plan
from asen_tf.training.cluster import ReplicaTeam, team_of

STEPS, GROUPS, IMAGES, EPOCHS = 3, 4, 3, 2
SHAPE = (STEPS, GROUPS, IMAGES)
# Every image once, in an order that tells a worker's images by no simple rule.
ORDER = np.random.default_rng(0).permutation(STEPS * GROUPS * IMAGES).astype(np.int32)
PLAN = Plan(
    ORDER.reshape(SHAPE),
    *(np.full(SHAPE, number, np.int32) for number in (0, 1)),
)


@dataclass(frozen=True)
class OneWorker:
    """What a strategy tells one of its workers; a real one waits for the others first.

    `tests/test_multi_worker.py` has the real ones.
    """

    worker: int
    workers: int
    num_replicas_in_sync: int

    def distribute_datasets_from_function(self, make) -> tf.data.Dataset:
        return make(
            tf.distribute.InputContext(
                num_input_pipelines=self.workers,
                input_pipeline_id=self.worker,
                num_replicas_in_sync=self.num_replicas_in_sync,
            )
        )


FLIPS = {"moves": ["flips"]}


def all_steps(views) -> partial:
    return partial(training_steps, lambda epoch: PLAN, views=views, sources=None, epochs=EPOCHS)


@pytest.mark.parametrize("parts", [1, 2])
def test_views_are_mirrored_by_seed_and_epoch_alone(parts: int) -> None:
    views = pictures(36, 4)

    def flips(seed: int, first_epoch: int = 0) -> np.ndarray:
        streams = [
            all_steps(Memory(views))(
                first_epoch=first_epoch, parts=[p], of=parts, **FLIPS, seed=seed
            )
            for p in range(parts)
        ]
        found = []
        for number, step in enumerate(zip(*[s.as_numpy_iterator() for s in streams], strict=True)):
            together = np.concatenate([part["view"] for part in step])
            straight = views[PLAN.images[number % STEPS]]
            mirrored = (together == straight[:, :, :, ::-1]).all(axis=(2, 3, 4))
            assert (mirrored ^ (together == straight).all(axis=(2, 3, 4))).all()
            found.append(mirrored)
        return np.array(found)

    first = flips(5)
    assert 0.3 < first.mean() < 0.7 and (first[:STEPS] != first[STEPS:]).any()
    assert (flips(6) != first).any()
    np.testing.assert_array_equal(flips(5, first_epoch=1), first[STEPS:])
    whole = all_steps(Memory(views))(first_epoch=0, **FLIPS, seed=5).as_numpy_iterator()
    for step, mirrored, number in zip(whole, first, range(2 * STEPS), strict=True):
        straight = views[PLAN.images[number % STEPS]]
        expected = np.where(mirrored[..., None, None, None], straight[:, :, :, ::-1], straight)
        np.testing.assert_array_equal(step["view"], expected)


def of_worker(views, worker: int, *, workers: int = 2, replicas: int = 2) -> list[dict]:
    steps = ReplicaTeam(OneWorker(worker, workers, replicas)).divided(all_steps(views))
    return list(steps(first_epoch=0).as_numpy_iterator())


@pytest.mark.parametrize(("workers", "replicas"), [(2, 2), (2, 4), (4, 4), (1, 2)])
def test_workers_read_disjoint_images_that_are_together_the_step(
    workers: int, replicas: int
) -> None:
    sources = [Memory(pictures(36, 4)) for _ in range(workers)]
    found = [
        of_worker(source, worker, workers=workers, replicas=replicas)
        for worker, source in enumerate(sources)
    ]
    read = [set(source.asked) for source in sources]
    assert sum(len(images) for images in read) == len(set().union(*read)) == ORDER.size
    for worker, source in enumerate(sources):
        own = PLAN.images.reshape(STEPS, workers, -1)[:, worker]
        assert sorted(source.asked) == sorted(np.tile(own.ravel(), EPOCHS))
    # A worker's replicas take its elements in turn; all workers' elements are one step.
    here = replicas // workers
    whole = list(all_steps(Memory(pictures(36, 4)))(first_epoch=0).as_numpy_iterator())
    assert [len(parts) for parts in found] == [here * STEPS * EPOCHS] * workers
    for number, step in enumerate(whole):
        parts = [part for each in found for part in each[number * here : (number + 1) * here]]
        for name, expected in step.items():
            together = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(together, expected)


def test_one_replica_takes_steps_as_they_are() -> None:
    steps = all_steps(Memory(pictures(36, 4)))
    assert team_of(tf.distribute.get_strategy()).divided(steps) is steps


# === What is decoded ===


@pytest.fixture
def half_the_files(tmp_path: Path) -> list[Path]:
    """Return the paths of all images; those of the first worker's half alone are there."""
    paths = [tmp_path / f"{index}.png" for index in range(ORDER.size)]
    for index in PLAN.images[:, : GROUPS // 2].ravel():
        Image.fromarray(pictures(1, 8)[0]).save(paths[index])
    return paths


def test_without_a_cache_a_worker_decodes_its_own_images_alone(half_the_files: list[Path]) -> None:
    images = FileImages(half_the_files, 8)
    assert len(of_worker(images, 0)) == STEPS * EPOCHS
    with pytest.raises(tf.errors.OpError, match="ImageError"):
        of_worker(images, 1)


def test_a_cache_is_of_the_whole_split(half_the_files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        CachedImages(FileImages(half_the_files, 8), tmp_path / "c.npy", description="decoding")
