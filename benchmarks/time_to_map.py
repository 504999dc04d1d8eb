"""Seconds and images until stage 1 reaches a MAP: `make bench-map`, about 20 minutes.

The figure that counts in training. On the built-in data, the global branch of ASEN++ is trained
from the same pretrained backbone by the paper's random triplets and by other ways to choose them,
all with as many images a step, and is validated every 20 steps. The goal is 90% of the final
validation MAP of random triplets, which get three times as many steps as the others. Validation
does not count as training time, nor does building the graph: the first 20 steps are given the
median time of all others. Writes results/time_to_map/: curves.csv, summary.csv, provenance.json and
time_to_map.png.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from asen_study.evaluation import validate
from asen_study.experiment import pretrain, starting_model
from asen_study.figures.style import themed
from asen_study.matrix import settings
from asen_study.production import open_dataset
from asen_study.provenance import describe
from asen_study.runs import Places
from asen_tf.config import ExperimentConfig
from asen_tf.files import replacing, write_json
from asen_tf.presets import quick
from asen_tf.training import BEST, phases, train

EVERY = 20  # steps between validations
STEPS, LONGER = 800, 2400  # of the other protocols, and of random triplets
SHARE = 0.9  # of the final MAP of random triplets
PLACE = Path("results/time_to_map")

PROTOCOLS: dict[str, dict[str, Any]] = {
    "random triplets": {"sampling": "random_triplets"},
    "batch-all": {},
    "batch-all, larger groups": {"attributes_per_step": 2, "images_per_value": 9},
    "batch-all, semi-hard negatives": {"loss": "semi_hard"},
    "batch-all, no warm-up": {"starting_weights": "random"},
}


def protocol_config(name: str, steps: int) -> ExperimentConfig:
    """Return a protocol's settings: stage 1 in short epochs; the rate decays at the same steps."""
    row = "asen_pp/random_triplets" if name == "random triplets" else "asen_pp"
    study = quick()
    more = study.steps_per_epoch // EVERY
    changes = {
        "steps_per_epoch": EVERY,
        "stage1_epochs": steps // EVERY,
        "stage1_decay_epochs": study.stage1_decay_epochs * more,
    }
    changed = PROTOCOLS[name] if row == "asen_pp" else {}
    return settings(row, study).override(**changes, **changed)


def measure(name: str, steps: int, data_dir: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Train a protocol; return its curve, and what came of it on the test split."""
    config = protocol_config(name, steps)
    places = Places(data_dir)
    dataset = open_dataset(config, places)
    start = pretrain(config, places) if config.starting_weights == "pretrain" else None
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    model = starting_model(config, dataset.attributes.names, start)
    model.joint = False
    check = validate(dataset.split("valid"), batch=config.embed_batch)
    per_step = (
        3 * config.triplets_per_step
        if config.sampling == "random_triplets"
        else config.attributes_per_step * config.values_per_attribute * config.images_per_value
    )
    scores, spent, resumed = [check(model)["val_map"]], [], time.perf_counter()

    def watch(network: keras.Model) -> Mapping[str, float]:
        nonlocal resumed
        spent.append(time.perf_counter() - resumed)
        found = check(network)
        scores.append(found["val_map"])
        resumed = time.perf_counter()
        return found

    with tempfile.TemporaryDirectory() as folder:
        (phase, *_) = phases(config)
        resumed = time.perf_counter()
        stage = train(model, config, dataset, phase, directory=Path(folder), validate=watch)
        model.load_weights(stage.directory / BEST)
        tested = validate(dataset.split("test"), batch=config.embed_batch)(model)
    spent[0] = statistics.median(spent[1:])
    curve = {
        "protocol": name,
        "images": np.arange(len(scores)) * EVERY * per_step,
        "seconds": np.cumsum([0.0, *spent]),
        "val_map": scores,
    }
    return pd.DataFrame(curve), {"protocol": name, "test_map": tested["val_map"]}


def reached(curve: pd.DataFrame, goal: float) -> pd.Series:
    """Return the first record of a curve that reaches the goal; NaN where none does."""
    above = curve[curve["val_map"] >= goal]
    return (
        above.iloc[0]
        if len(above)
        else pd.Series({"seconds": float("nan"), "images": float("nan")})
    )


def summarise(curves: pd.DataFrame, tested: pd.DataFrame) -> pd.DataFrame:
    """Return a row per protocol: when it reaches the goal, how much sooner, and what it ends at."""
    random = curves[curves["protocol"] == "random triplets"]
    goal = SHARE * random["val_map"].iloc[-1]
    base = reached(random, goal)
    rows = []
    for name, curve in curves.groupby("protocol", sort=False):
        first = reached(curve, goal)
        rows.append(
            {
                "protocol": name,
                "goal_val_map": goal,
                "seconds": first["seconds"],
                "images": first["images"],
                "times_fewer_seconds": base["seconds"] / first["seconds"],
                "final_val_map": curve["val_map"].iloc[-1],
                "best_val_map": curve["val_map"].max(),
            }
        )
    return pd.DataFrame(rows).merge(tested, on="protocol")


@themed
def draw(curves: pd.DataFrame, goal: float) -> Figure:
    """Draw validation MAP against seconds of training, with the goal."""
    drawn = Figure(figsize=(9, 4), layout="constrained")
    axes = drawn.subplots()
    # Protocols are no methods: other colours than those of the methods, and line styles besides.
    colours = dict(zip(curves["protocol"].unique(), sns.color_palette("viridis", 5), strict=False))
    sns.lineplot(
        curves,
        x="seconds",
        y="val_map",
        hue="protocol",
        style="protocol",
        ax=axes,
        palette=colours,
    )
    axes.axhline(goal, color="0.3", linestyle=":", label="goal: 90% of random triplets' last")
    axes.legend(loc="lower right")
    axes.set_title("How soon each way of choosing triplets reaches the goal")
    axes.set(xlabel="seconds of training, two cores", ylabel="validation MAP, percent")
    return drawn


def main() -> None:
    """Measure all protocols, write the tables and the picture, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data", help="made by `make study`")
    options = parser.parse_args()
    curves, tested = [], []
    for name in PROTOCOLS:
        curve, found = measure(name, LONGER if name == "random triplets" else STEPS, options.data)
        curves.append(curve)
        tested.append(found)
        print(f"{name}: {curve['seconds'].iloc[-1]:.0f} s of training; {found}", flush=True)
    every = pd.concat(curves)
    summary = summarise(every, pd.DataFrame(tested))
    for name, table in (("curves", every), ("summary", summary)):
        with replacing(PLACE / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    write_json(PLACE / "provenance.json", describe())
    with replacing(PLACE / "time_to_map.png") as temporary:
        draw(every, summary["goal_val_map"].iloc[0]).savefig(temporary, dpi=120)
    print(summary.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
