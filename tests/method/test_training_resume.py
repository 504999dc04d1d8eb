"""A stage that is interrupted at every point, and a state that is saved in full or not at all."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from line_training import STEPS, Line, parameters, steps, train

from asen_tf.training.stage import BEST, TrainingState


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory):
    return train(tmp_path_factory.mktemp("stage"))


def same(result, other, directory: Path) -> None:
    """The last weights, the history and the best weights, to the last digit."""
    assert parameters(result[0]) == parameters(other[0])
    assert result[1].history == other[1].history
    best = Line(9.0), Line(9.0)
    for line, place in zip(best, (directory, other[1].directory), strict=True):
        line.load_weights(place / BEST)
    assert parameters(best[0]) == parameters(best[1])


def states(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("state/*"))


# === Interrupted ===


@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_interrupted_within_an_epoch(unbroken, tmp_path: Path, epoch: int) -> None:
    broken = functools.partial(steps, stop_at=(epoch, STEPS - 1))
    with pytest.raises(tf.errors.OpError, match="interrupted"):
        train(tmp_path, make_steps=broken)
    assert states(tmp_path) == [f"epoch-{epoch - 1:04d}"][: epoch > 0]
    # The new process starts from other weights: all that counts comes from the state.
    again = train(tmp_path, start=0.0 if epoch == 0 else 5.0)
    same(again, unbroken, tmp_path)
    assert len(again[2]) == 4 - epoch


@pytest.mark.parametrize("epoch", [1, 3])
def test_interrupted_while_validating(unbroken, tmp_path: Path, epoch: int) -> None:
    with pytest.raises(RuntimeError, match="interrupted"):
        train(tmp_path, fail_in_validation=epoch)
    assert states(tmp_path) == [f"epoch-{epoch - 1:04d}"]
    same(train(tmp_path, start=5.0), unbroken, tmp_path)


def test_interrupted_between_the_best_weights_and_the_state(
    unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = TrainingState.save

    def save_the_first(state: TrainingState, epoch: int, record: dict) -> None:
        if epoch == 1:
            raise RuntimeError("interrupted")
        save(state, epoch, record)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="interrupted"):
        patch.setattr(TrainingState, "save", save_the_first)
        train(tmp_path)
    best = Line(9.0)
    best.load_weights(tmp_path / BEST)
    assert parameters(best) == unbroken[2][1]  # the second epoch's, though its state is not there
    assert states(tmp_path) == ["epoch-0000"]
    same(train(tmp_path, start=5.0), unbroken, tmp_path)


def test_interrupted_after_the_last_state(unbroken, tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "history.json").unlink()
    (tmp_path / "last.weights.h5").unlink()
    again = train(tmp_path, start=5.0)
    same(again, unbroken, tmp_path)
    assert again[2] == []  # nothing was trained


def test_finished_stage_is_not_trained_again(unbroken, tmp_path: Path) -> None:
    train(tmp_path)

    def no_steps(first_epoch: int):
        raise AssertionError("a finished stage asks for no steps")

    again = train(tmp_path, start=5.0, make_steps=no_steps)
    same(again, unbroken, tmp_path)
    assert again[1].best_epoch == unbroken[1].best_epoch and again[2] == []


def test_only_the_newest_state_stays(unbroken) -> None:
    assert states(unbroken[1].directory) == ["epoch-0003"]


# === The state ===


def adam_of(line: Line) -> keras.optimizers.Adam:
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(line.trainable_variables)
    return optimizer


def move(line: Line, optimizer: keras.optimizers.Adam, gradient: float) -> None:
    gradients = [tf.fill((1, 1), gradient) for _ in line.trainable_variables]
    optimizer.apply_gradients(zip(gradients, line.trainable_variables, strict=True))


def test_restored_optimizer_takes_the_very_step_it_would_have_taken(tmp_path: Path) -> None:
    line = Line(1.0)
    optimizer = adam_of(line)
    move(line, optimizer, 3.0)
    TrainingState(tmp_path, line, [optimizer]).save(0, {"note": 7})
    move(line, optimizer, -1.0)

    other = Line(5.0)
    restored = adam_of(other)
    assert TrainingState(tmp_path, other, [restored]).restore() == {"note": 7}
    move(other, restored, -1.0)
    assert parameters(other) == parameters(line)

    fresh = adam_of(other)  # without the moments the step is another one
    before = parameters(other)
    move(other, fresh, -1.0)
    assert parameters(other)[0] - before[0] == pytest.approx(0.1, rel=1e-4)


def test_nothing_saved_restores_nothing(tmp_path: Path) -> None:
    line = Line(1.0)
    assert TrainingState(tmp_path / "absent", line, [adam_of(line)]).restore() is None
    assert parameters(line) == [1.0, 1.0]


def test_half_written_state_does_not_count(tmp_path: Path) -> None:
    line = Line(1.0)
    state = TrainingState(tmp_path, line, [adam_of(line)])
    state.save(8, {"epoch": 8})
    half = tmp_path / ".tmp-0123abcd-epoch-0009"  # what a killed process leaves
    half.mkdir()
    (half / "record.json").write_text('{"epoch": 9}')
    assert state.restore() == {"epoch": 8}
    state.save(9, {"epoch": 9})
    assert state.restore() == {"epoch": 9}
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0009"]


@pytest.mark.parametrize("last", [10, 10_000])
def test_states_are_ordered_by_number(tmp_path: Path, last: int) -> None:
    line = Line(1.0)
    state = TrainingState(tmp_path, line, [adam_of(line)])
    for epoch in (last - 1, last):
        state.save(epoch, {"epoch": epoch})
    assert state.restore() == {"epoch": last}


def test_state_of_another_network_is_refused(tmp_path: Path) -> None:
    line = Line(1.0)
    TrainingState(tmp_path, line, [adam_of(line)]).save(0, {})
    wider = keras.Sequential([keras.layers.Dense(3, name="other")])
    wider.build((None, 2))
    optimizer = keras.optimizers.Adam()
    optimizer.build(wider.trainable_variables)
    with pytest.raises((AssertionError, ValueError)):
        TrainingState(tmp_path, wider, [optimizer]).restore()
