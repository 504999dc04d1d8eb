"""From a configuration, or a saved file, to a model; no code from a file is run."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from asen_tf.config import ExperimentConfig
from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus
from asen_tf.models.base import SimilarityModel
from asen_tf.models.relatives import ConditionalSimilarityNetwork, FrozenFeatures, TripletNetwork
from asen_tf.models.rpf import RegionToPatch

METHODS: dict[str, type[SimilarityModel]] = {
    "features": FrozenFeatures,
    "triplet": TripletNetwork,
    "csn": ConditionalSimilarityNetwork,
    "asen": Asen,
    "asen_v2": AsenV2,
    "asen_pp": AsenPlusPlus,
    "rpf": RegionToPatch,
}

# What `save` writes. Keras would also read other members, some of which may hold pickles.
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}
_MOST_PACKED = 100  # times that a member may grow when it is unpacked: weights hardly shrink
_LONGEST = 2**20  # bytes of config.json; ours have a few hundred


def build_model(config: ExperimentConfig, attributes: Sequence[str]) -> SimilarityModel:
    """Build the method that a configuration names, with fresh weights.

    The model's `Settings` take the values of the configuration's settings of the same names.

    Args:
        config: the settings.
        attributes: names of the attributes, in index order.

    Returns:
        The model, with all its variables created.
    """
    method = METHODS[config.method]
    names = [field.name for field in dataclasses.fields(method.Settings)]
    return method(attributes, **{name: getattr(config, name) for name in names})


# === Saved models ===


class ModelFileError(ValueError):
    """A file does not hold a model of this package."""


def load_saved(path: Path | str) -> SimilarityModel:
    """Load a model that `save` wrote, and nothing else: no code from the file is run.

    Keras imports whatever module the file names and looks up the class there; it also reads older
    formats, in which layers may hold code. So the file is checked before Keras sees it: it must ask
    for one of this package's methods, with plain values as settings.

    Args:
        path: a `.keras` file.

    Raises:
        ModelFileError: there is no such file, or it holds something other than a method of this
            package.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model; a finished run holds model.keras")
    if path.suffix != ".keras":
        raise ModelFileError(f"{path}: not a readable model (its name must end in .keras)")
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()
            if sorted(names) != sorted(_MEMBERS):
                raise ModelFileError(
                    f"{path}: a saved model must hold {', '.join(sorted(_MEMBERS))} and nothing "
                    f"else; got {', '.join(names[:5]) or 'nothing'}"
                )
            members = opened.infolist()
            if any(member.file_size > _MOST_PACKED * member.compress_size for member in members):
                raise ModelFileError(
                    f"{path}: it would unpack to far more than it should; not loaded"
                )
            if opened.getinfo("config.json").file_size > _LONGEST:
                raise ModelFileError(f"{path}: config.json must be short; got more than a megabyte")
            _check(path, json.loads(opened.read("config.json")))
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelFileError:
        raise
    except Exception as error:  # Keras, h5py and zipfile raise many kinds
        raise ModelFileError(f"{path}: not a readable model ({error})") from error


def _check(path: Path, config: Any) -> None:
    """Raise unless a saved model's configuration is that of a method, free of other objects."""
    known = {
        keras.saving.get_registered_name(method): method.__name__ for method in METHODS.values()
    }
    asked = config if isinstance(config, dict) else {}
    name, kind, module = (asked.get(x) for x in ("registered_name", "class_name", "module"))
    # Keras finds a registered class by its name and does not import the module, which may have had
    # another name when the file was saved; it must be one of this package all the same.
    ours = isinstance(module, str) and module.split(".")[0] == "asen_tf"
    if not isinstance(name, str) or known.get(name) != kind or not ours:
        raise ModelFileError(
            f"{path}: the file must hold a method of this package; got {kind!r} of {module!r}; it "
            "is not loaded, because loading it could run code"
        )
    if _names_objects(asked.get("config")) or asked.get("build_config"):
        raise ModelFileError(
            f"{path}: the settings of a model must be plain values; got further objects; it is "
            "not loaded, because loading it could run code"
        )


def _names_objects(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_name" in value or any(map(_names_objects, value.values()))
    return isinstance(value, list) and any(map(_names_objects, value))
