"""Files in PyTorch's old serialisation, written here byte by byte, good and bad."""

from __future__ import annotations

import collections
import io
import pickle
import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from asen_tf.backbones import checkpoints
from asen_tf.backbones.checkpoints import CheckpointError, read_legacy_state

_KINDS = {"<f4": "FloatStorage", "<i8": "LongStorage", "<f8": "DoubleStorage"}


class _Named:
    """Pickles as a reference to a class or function of another module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):  # the Python one, which lets names be written as they are
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Storage) else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Tensor):
            self.save(_Named("torch._utils", value.function))
            self.save((value.storage, *value.place, False, collections.OrderedDict()))
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


class Storage:
    def __init__(self, key: str, numbers: np.ndarray) -> None:
        self.key, self.numbers = key, numbers
        kind = _Named("torch", _KINDS[numbers.dtype.str])
        self.identity = ("storage", kind, key, "cpu", len(numbers), None)


class Tensor:
    def __init__(
        self, storage: Storage, offset: int, shape: tuple, steps: tuple, function: str = ""
    ) -> None:
        self.storage, self.place = storage, (offset, shape, steps)
        self.function = function or "_rebuild_tensor_v2"


def dumped(value: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def file(tensors: dict[str, Any], *storages: Storage, magic: int = 0x1950A86A20F9469CFC6C) -> bytes:
    parts = [magic, 1001, {"little_endian": True}, collections.OrderedDict(tensors)]
    parts.append([storage.key for storage in storages])
    numbers = [struct.pack("<q", len(s.numbers)) + s.numbers.tobytes() for s in storages]
    return b"".join([*map(dumped, parts), *numbers])


def read(folder: Path, content: bytes) -> dict[str, np.ndarray]:
    path = folder / "x.pth"
    path.write_bytes(content)
    return read_legacy_state(path)


def test_strides_and_offsets_are_followed(tmp_path: Path) -> None:
    storage = Storage("a", np.arange(12, dtype="<f4"))
    counts = Storage("b", np.array([7], "<i8"))
    content = file(
        {
            "turned": Tensor(storage, 0, (3, 4), (1, 3)),
            "part": Tensor(storage, 5, (2, 2), (4, 1)),
            "count": Tensor(counts, 0, (), ()),
            "none": Tensor(storage, 0, (0, 4), (4, 1)),
        },
        storage,
        counts,
    )
    found = read(tmp_path, content)
    assert found["turned"].tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert found["part"].tolist() == [[5, 6], [9, 10]]
    assert found["count"].dtype == np.int64 and found["count"] == 7
    assert found["none"].shape == (0, 4)
    found["turned"][0, 0] = 99  # memory of its own
    assert found["part"][0, 0] == 5


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("beyond the end", lambda s: Tensor(s, 1, (3, 4), (4, 1))),
        ("before the start", lambda s: Tensor(s, 0, (3, 4), (-4, 1))),
        ("far away", lambda s: Tensor(s, 0, (2,), (10**15,))),
        ("of another rank", lambda s: Tensor(s, 0, (2, 2), (1,))),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path, name: str, tensor: Any) -> None:
    storage = Storage("a", np.arange(12, dtype="<f4"))
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path, file({"x": tensor(storage)}, storage))


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")]
)
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, module: str, name: str) -> None:
    marker = tmp_path / "ran"
    call = pickle.GLOBAL + f"{module}\n{name}\n".encode()
    call += pickle.MARK + dumped(f"touch {marker}")[2:-1] + pickle.TUPLE + pickle.REDUCE
    body = b"\x80\x02" + call + pickle.STOP
    content = dumped(0x1950A86A20F9469CFC6C) + dumped(1001) + dumped({"little_endian": True}) + body
    with pytest.raises(CheckpointError, match=f"{module}.{name}.*could run code"):
        read(tmp_path, content)
    assert not marker.exists()


def test_another_way_to_make_a_tensor_is_refused(tmp_path: Path) -> None:
    storage = Storage("a", np.arange(2, dtype="<f4"))
    tensor = Tensor(storage, 0, (2,), (1,), function="_rebuild_parameter")
    with pytest.raises(CheckpointError, match="_rebuild_parameter"):
        read(tmp_path, file({"x": tensor}, storage))


@pytest.mark.parametrize("name", [1, None, (1, 2)])
def test_a_tensor_whose_name_is_no_text_is_refused(tmp_path: Path, name: Any) -> None:
    storage = Storage("a", np.arange(2, dtype="<f4"))
    tensors = {"x": Tensor(storage, 0, (2,), (1,)), name: Tensor(storage, 0, (1,), (1,))}
    message = rf"it must hold tensors by name; got \[{re.escape(repr(name))}\]"
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, file(tensors, storage))


def test_a_storage_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    storage = Storage("a", np.arange(4, dtype="<f4"))
    content = file({"x": Tensor(storage, 0, (4,), (1,))}, storage)
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path, content[:-3])
    huge = content[:-24] + struct.pack("<q", 2**60) + content[-16:]
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path, huge)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x02K\x01.", b"not a pickle", bytes(1000)],
)
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth: not a file in PyTorch's old"):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_legacy_state(tmp_path / "none.pth")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_bytes_are_read_or_refused_by_our_own_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    storage = Storage("a", np.arange(6, dtype="<f4"))
    content = bytearray(file({"x": Tensor(storage, 0, (2, 3), (3, 1))}, storage))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp()
    try:
        found = read(folder, bytes(content))
    except CheckpointError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


def test_a_table_of_objects_is_no_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"\x80\x02K\0r\0\0\0\x40.")  # keeps a 0 as object 2^30: a table of 16 GB
    with pytest.raises(CheckpointError, match=r"it keeps object 1073741824 of a file of 10 bytes"):
        read_legacy_state(path)


# === What a checkpoint of today may hold instead of arrays by name ===


@pytest.mark.parametrize("under", [(), ("model",)])
@pytest.mark.parametrize("content", [[1, 2], "text", None, {}, {1: np.zeros(2)}, {"epoch": 3}])
def test_what_holds_no_arrays_by_name_is_refused(
    content: Any, under: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyTorch, which need not be installed, would give it; its arrays have `detach`."""
    if isinstance(content, dict):
        arrays = {k: SimpleNamespace(detach=lambda v=v: v) for k, v in content.items() if k == 1}
        content = {**content, **arrays}
    monkeypatch.setattr(checkpoints, "_load", lambda _: {"model": content} if under else content)
    with pytest.raises(CheckpointError, match=r"x\.pth: a checkpoint holds arrays by name; got a "):
        checkpoints.read_state("x.pth", under=under)


@pytest.mark.parametrize("shape", [(1, 2, 3), (6,), (), (2, 3, 2), (0, 3), (2, 3, 1, 1)])
def test_arrays_of_any_shape_are_taken_or_listed(shape: tuple[int, ...]) -> None:
    """A linear layer from three units to two, beside a bias that fits."""
    weight, bias = tf.Variable(tf.zeros((3, 2))), tf.Variable(tf.zeros(2))
    places = [checkpoints.Place(weight, "a", "kernel"), checkpoints.Place(bias, "b", "bias")]
    state = {"a": np.arange(np.prod(shape)).reshape(shape), "b": np.ones(2)}
    if shape == (2, 3, 1, 1):  # as a convolution with kernels of one pixel
        checkpoints.fill(places, state, unused=re.compile("x"), heading="it")
        assert weight.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
        return
    fault = re.escape(f"it:\n  shape of a: {shape} does not fit (3, 2)")
    with pytest.raises(CheckpointError, match=f"{fault}$"):
        checkpoints.fill(places, state, unused=re.compile("x"), heading="it")
    assert not bias.numpy().any()
