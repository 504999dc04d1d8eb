"""Trainings with one replica and with two, in a process whose CPU is two devices.

Run as a program, because a process divides its CPU before TensorFlow begins or never. Arguments:
the data directory, an empty directory, and a list of cases: settings, and under "without" what of
the replicas' exchange is left out: "statistics" of batch normalisation, "counts" of triplets,
"masks" of dropout (replicas then draw the same ones).
Prints for each case the losses of each step, of one replica and of two, as a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def losses(data: Path, folder: Path, cases: list[dict]) -> list[list[list[dict[str, float]]]]:
    """Return the histories of each case, of one replica and of two, from a process of its own."""
    command = [sys.executable, __file__, str(data), str(folder), json.dumps(cases)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]


def history(config, dataset, replicas: int, directory: Path) -> list[dict[str, float]]:
    import keras
    import tensorflow as tf

    from asen_tf.models import build_model
    from asen_tf.training import phases, team_for, train

    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    team = team_for(config.override(strategy="mirrored" if replicas > 1 else "none"))
    assert team.strategy.num_replicas_in_sync == replicas
    with team.scope():
        model = build_model(config, dataset.attributes.names)
    (phase,) = phases(config)
    nothing = {"directory": directory, "validate": lambda network: {"val_map": 0.0}}
    result = train(model, config, dataset, phase, **nothing)
    assert isinstance(model.distribute_strategy, tf.distribute.MirroredStrategy) == (replicas > 1)
    return result.history


def main() -> None:
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)

    from asen_study.production import open_dataset
    from asen_study.runs import Places
    from asen_tf.models.rpf import ResumableDropout
    from asen_tf.presets import smoke
    from asen_tf.training import trainer
    from asen_tf.training.cluster import ReplicaTeam

    whole = {
        "statistics": (ReplicaTeam, "share_statistics", lambda team, network: None),
        "counts": (trainer, "equal_share", lambda count, least: tf.maximum(count, least)),
        "masks": (
            *(ResumableDropout, "_numbers"),
            lambda layer, shape: tf.random.stateless_uniform(shape, layer.state),
        ),
    }
    data, folder, cases = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    for number, case in enumerate(cases):
        options = {key: value for key, value in case.items() if key != "without"}
        config = smoke().override(steps_per_epoch=1, stages=1, **options)
        found = []
        for replicas in (1, 2):
            kept = {name: getattr(whole[name][0], whole[name][1]) for name in case["without"]}
            for name in case["without"]:
                setattr(*whole[name])
            place = folder / f"{number}-{replicas}"
            found.append(history(config, open_dataset(config, Places(data)), replicas, place))
            for name, function in kept.items():
                setattr(*whole[name][:2], function)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
