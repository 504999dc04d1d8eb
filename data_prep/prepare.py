"""One function for every raw release: what notebook `01_prepare_data` calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

from asen_tf.config import did_you_mean
from asen_tf.data import AnnotationError
from data_prep import catalog, clothing_attributes, darn, deepfashion, fashionai, zappos50k
from data_prep.command import Report, folder

RELEASES: dict[str, Callable[..., Report]] = {
    **{module.DATASET: module.prepare for module in (fashionai, darn, deepfashion, zappos50k)},
    **{
        f"{clothing_attributes.DATASET}-{fold}": partial(clothing_attributes.prepare, fold=fold)
        for fold in range(clothing_attributes.FOLDS)
    },
}
# What to do about an option that a dataset does not have.
_REMEDIES = {
    "splits": "leave splits out: split files are used for FashionAI and DeepFashion only",
    "download": "leave download out, and put the images into the raw folder: only DARN's images "
    "are downloaded",
}


def prepare(
    dataset: str,
    raw: Path | str,
    out: Path | str,
    *,
    seed: int = 0,
    broken: str | None = None,
    splits: Path | str | None = None,
    table: Path | str | None = None,
    download: Path | str | None = None,
) -> Report:
    """Turn a raw release, or your own catalogue, into split files.

    Args:
        dataset: FashionAI, DARN, DeepFashion, Zappos50k or a fold of the Clothing Attribute
            Dataset, such as ClothingAttributes-0; with a table, any name.
        raw: the folder of the raw release, or of the catalogue's images.
        out: the folder of all datasets.
        seed: of the random division.
        broken: "error" or "skip"; None does what the dataset's own command does.
        splits: the authors' split files, for FashionAI and DeepFashion.
        table: the CSV file of your own catalogue.
        download: for DARN: a file of lines `<image path> <URL>`, from which missing images are
            fetched first.

    Returns:
        What there is, and what was left out.

    Raises:
        AnnotationError: the dataset is unknown or has no such option, or something is wrong with
            the release.
    """
    if table is not None:
        make = partial(catalog.prepare, dataset=dataset)
    elif dataset in RELEASES:
        make = RELEASES[dataset]
    else:
        raise AnnotationError(
            f"a raw release must be one of {', '.join(RELEASES)}",
            got=dataset,
            remedy=f"{did_you_mean(dataset, RELEASES)}; for your own catalogue, also give its CSV "
            "file as table",
        )
    files = {"splits": splits, "table": table, "download": download}
    options = {name: Path(value) for name, value in files.items() if value is not None}
    options |= {} if broken is None else {"broken": broken}
    for name in options:
        if name not in inspect.signature(make).parameters:
            rule = f"{name} is no option of this dataset"
            raise AnnotationError(rule, got=dataset, remedy=_REMEDIES[name])
    return make(folder(raw), Path(out), seed=seed, **options)
