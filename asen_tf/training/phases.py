"""The stages of each method's training: what is trained, how long, how fast."""

from __future__ import annotations

from dataclasses import dataclass

from asen_tf.config import ExperimentConfig


@dataclass(frozen=True)
class Phase:
    """A stage of a method's training: what is trained, how long, how fast.

    Attributes:
        name: of the stage's folder and in the history.
        title: what the progress bar says.
        joint: whether the local branch is trained, too.
        first_epoch: how many epochs the method has been trained before; its triplets go on there.
        epochs: of this stage.
        global_rate: learning rate of the layers that see the whole image.
        local_rate: learning rate of the local layers, if they are trained.
        decay: factor of the learning rates every `decay_epochs`.
        decay_epochs: see `decay`.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), two-stage training.
    """

    name: str
    title: str
    joint: bool
    first_epoch: int
    epochs: int
    global_rate: float
    local_rate: float
    decay: float
    decay_epochs: int


def phases(config: ExperimentConfig) -> tuple[Phase, ...]:
    """Return the stages that train a configuration's method.

    ASEN++ has two: the global branch alone, then both branches, the global one more slowly.
    Methods of one branch, and ASEN++ with `stages=1`, have a single one as long as both together,
    with the first one's rates: at the end, every method has seen the same images.
    """
    first = {
        "first_epoch": 0,
        "global_rate": config.stage1_learning_rate,
        "local_rate": config.stage2_local_learning_rate,
        "decay": config.stage1_decay,
        "decay_epochs": config.stage1_decay_epochs,
    }
    everything = config.stage1_epochs + config.stage2_epochs
    if config.method != "asen_pp":
        return (Phase("training", f"training {config.method}", False, epochs=everything, **first),)
    if config.stages == 1:
        return (Phase("training", "training both branches", True, epochs=everything, **first),)
    return (
        Phase("stage1", "stage 1 (global branch)", False, epochs=config.stage1_epochs, **first),
        Phase(
            "stage2",
            "stage 2 (both branches)",
            True,
            first_epoch=config.stage1_epochs,
            epochs=config.stage2_epochs,
            global_rate=config.stage2_global_learning_rate,
            local_rate=config.stage2_local_learning_rate,
            decay=config.stage2_decay,
            decay_epochs=config.stage2_decay_epochs,
        ),
    )
