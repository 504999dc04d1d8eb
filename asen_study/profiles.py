"""What each study makes: its data, rows and seeds, and how long each step takes on two cores.

`PROFILES` names them as `make study PROFILE=...` does; `asen_study.schedule` turns one into tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asen_study.matrix import ABLATIONS, FEATURES, MAIN, PHOTOS, STUDIED, repeat_of

OWN = "own"  # the profile of a dataset of one's own, whose name is also that of the study
_READING = {"evaluate": 0.7, "rerank": 1, "evidence": 0.6, "results": 0.5}
_FOLDS = {"dataset": "ClothingAttributes-{seed}"}  # the dataset of each seed


@dataclass(frozen=True)
class Profile:
    """What a study renders and trains.

    Attributes:
        preset: the settings that its runs share.
        data_dir: the directory of meta.json and the datasets.
        data: parameters of the notebook of the data: how many images are drawn, and their side in
            px; for one's own, where they are.
        rows: of the matrix.
        seeds: of each row; the folds, if the study has them.
        minutes: that each step takes on two cores; "train" and "fewer": all trainings together.
        changes: settings that differ from the preset's; a dataset's name that holds `{seed}` stands
            for folds, which are made from published photographs.
        sizes: numbers of training images on which some rows are trained, too.
        size_seeds: of these trainings.
        after: a profile whose study comes first.
    """

    preset: str
    data_dir: str
    data: Mapping[str, Any]
    rows: Sequence[str]
    seeds: Sequence[int]
    minutes: dict[str, float]
    changes: Mapping[str, Any] = field(default_factory=dict)
    sizes: Sequence[int] = ()
    size_seeds: Sequence[int] = ()
    after: str = ""

    @property
    def folds(self) -> bool:
        """Whether each seed has a dataset of its own."""
        return repeat_of(self.changes.get("dataset", "")) == "fold"


_QUICK = Profile(
    preset="quick",
    data_dir="data",
    data={"images": 6000, "test_images": 6000, "image_size": 320},
    rows=MAIN,
    seeds=(0,),
    minutes={"data": 2.5, "train": 15.5, **_READING},
)
PROFILES = {
    "quick": _QUICK,
    "ablations": replace(
        _QUICK,
        preset="strong",
        rows=STUDIED["ablations"],
        seeds=(0, 1, 2, 3, 4),
        minutes={"data": 1.5, "train": 315, "ablations": 18},
    ),
    "parts": replace(
        _QUICK,
        rows=ABLATIONS,
        seeds=(0, 1, 2),
        minutes={"data": 1.5, "train": 180, "starts": 0.3, "ablations": 22},
        after="ablations",
    ),
    "changes": replace(
        _QUICK,
        rows=STUDIED["changes"],
        seeds=(0, 1),
        minutes={"data": 1.5, "train": 165, "ablations": 20},
    ),
    "smoke": Profile(
        preset="smoke",
        data_dir="data/smoke",
        data={"images": 160, "test_images": 16, "image_size": 96},
        rows=MAIN,
        seeds=(0,),
        minutes={"data": 0.3, "backbone": 0.5, "train": 1, **_READING},
    ),
    "photos": Profile(
        preset="photos",
        data_dir="data",
        data={},
        rows=PHOTOS,
        seeds=(0, 1, 2, 3, 4),
        minutes={"data": 1.5, "train": 270, "results": 2, "fewer": 50, "labels": 5},
        changes=_FOLDS,
        sizes=(50, 100, 200, 400, 800),
        size_seeds=(0, 1, 2),
    ),
    "photos_smoke": Profile(
        preset="smoke",
        data_dir="data/smoke",
        data={},
        rows=(*FEATURES, "asen_v2"),
        seeds=(0, 1),
        minutes={"data": 0.1, "train": 1, "results": 0.3, "fewer": 0.5, "labels": 0.3},
        changes={**_FOLDS, "starting_weights": "random"},
        sizes=(24,),
        size_seeds=(0,),
    ),
    OWN: Profile(
        preset="photos",
        data_dir="data",
        data={},
        rows=(*FEATURES, "asen_pp/adapted"),
        seeds=(0,),
        minutes={"data": 0.2, "backbone": 2, "train": 14, "evaluate": 0.5, "results": 0.3},
    ),
}
