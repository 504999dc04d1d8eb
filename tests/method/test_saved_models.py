"""Model files that contain more than a method of this package: refused before Keras sees them."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import keras
import pytest

from asen_study.runs import Run
from asen_tf.config import METHODS
from asen_tf.models import ModelFileError, build_model, load_saved
from asen_tf.presets import smoke

OURS = {
    "module": "asen_tf.models.relatives",
    "class_name": "TripletNetwork",
    "registered_name": "asen_tf>TripletNetwork",
}
PLANTED = {"module": "planted", "class_name": "X", "config": {}, "registered_name": "X"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    build_model(smoke().override(method="triplet"), ("a", "b")).save(path)
    return path


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module on the path that leaves a trace when it is imported; return the trace."""
    trace = tmp_path / "imported"
    (tmp_path / "planted.py").write_text(f"open({str(trace)!r}, 'w').close()\nclass X: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield trace
    sys.modules.pop("planted", None)


def altered(good: Path, target: Path, config: object, **members: bytes) -> Path:
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(target, "w") as made:
        for name in source.namelist():
            text = json.dumps(config).encode() if name == "config.json" else source.read(name)
            made.writestr(name, text)
        for name, content in members.items():
            made.writestr(name.replace("__", "."), content)
    return target


@pytest.mark.parametrize("method", METHODS)
def test_every_method_loads_back(tmp_path: Path, method: str) -> None:
    model = build_model(smoke().override(method=method), ("a", "b"))
    model.save(tmp_path / "model.keras")
    for loaded in (load_saved(tmp_path / "model.keras"), Run(tmp_path).load_model()):
        assert type(loaded) is type(model) and loaded.get_config() == model.get_config()


NESTED = {**OURS, "config": {"attributes": ["a", "b"], "global_size": 32, "source_size": PLANTED}}
BUILT = {**OURS, "config": {"attributes": ["a", "b"]}, "build_config": PLANTED}
CONFIGS = {
    "another module": PLANTED,
    "our name, another module": {**PLANTED, "registered_name": "asen_tf>TripletNetwork"},
    "our module, another name": {**OURS, "registered_name": "X", "config": {}},
    "a function": {**PLANTED, "class_name": "function", "config": "X"},
    "inside the settings": NESTED,
    "in a list of them": {**OURS, "config": {"attributes": ["a", [PLANTED]], "global_size": 8}},
    "in how it is built": BUILT,
    "a layer of Keras": {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    "a list": [PLANTED],
    "a text": "planted",
    "nothing": {},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_what_the_file_names_is_not_imported(
    good: Path, tmp_path: Path, planted: Path, config: object
) -> None:
    path = altered(good, tmp_path / "evil.keras", config)
    with pytest.raises(ModelFileError, match=r"evil.keras: .*not loaded, because"):
        load_saved(path)
    assert not planted.exists() and "planted" not in sys.modules


def test_without_the_check_keras_would_import_it(good: Path, tmp_path: Path, planted: Path) -> None:
    with pytest.raises(TypeError):
        keras.saving.load_model(altered(good, tmp_path / "evil.keras", PLANTED), compile=False)
    assert planted.exists()  # so the tests above can fail


@pytest.mark.parametrize("kind", ["npz", "asset", "twice", "long", "h5", "renamed", "folder"])
def test_other_members_and_older_formats_are_refused(good: Path, tmp_path: Path, kind: str) -> None:
    config = json.loads(zipfile.ZipFile(good).read("config.json"))
    path = tmp_path / "evil.keras"
    members = {"npz": {"model.weights.npz": b"x"}, "asset": {"assets/x": b"x"}}
    if kind == "twice":
        with pytest.warns(UserWarning, match="Duplicate name"):
            altered(good, path, config, config__json=json.dumps(PLANTED).encode())
    elif kind == "h5":  # layers of this format may hold code
        layers = [keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)]
        keras.Sequential(layers).save(tmp_path / "evil.h5", save_format="h5")
        (tmp_path / "evil.h5").rename(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "renamed":
        path = altered(good, tmp_path / "evil.h5", config)
    else:
        config = {**config, "note": "x" * 2**21} if kind == "long" else config
        altered(good, path, config, **members.get(kind, {}))
    with pytest.raises(ModelFileError, match="no such model|not a readable|must hold|must be sho"):
        load_saved(path)
