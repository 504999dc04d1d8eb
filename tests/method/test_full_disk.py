"""A disk that is really full (a small one, on Linux as root), and errors of other libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asen_tf.files import DiskFullError, replacing

SCRIPT = """
import sys
from pathlib import Path
import keras
import numpy as np
from asen_tf.data.images import CachedImages
from asen_tf.files import DiskFullError, replacing, write_text
from asen_tf.training.stage import save_weights

network = keras.Sequential([keras.layers.Dense(512, name="d"), keras.layers.Dense(512)])
network.build((None, 512))

class Grey:
    side = 64
    def __len__(self):
        return 300
    def __getitem__(self, indices):
        return np.full((len(indices), 64, 64, 3), 127, np.uint8)

folder = Path(sys.argv[1])
def unknown_size():
    with replacing(folder / "run") as temporary:
        temporary.mkdir()
        (temporary / "a").write_bytes(bytes(2**21))

for what in (unknown_size, lambda: write_text(folder / "b", "x" * 2**21),
             lambda: CachedImages(Grey(), folder / "c.npy", description="decoding"),
             lambda: save_weights(network, folder / "d.weights.h5")):
    try:
        what()
        print("written")
    except DiskFullError as error:
        print(error)
print(sorted(path.name for path in folder.iterdir() if path.suffix != ".lock"))
"""


def test_a_full_disk_is_told_in_a_sentence_and_nothing_is_left(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{folder}" && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, script, folder]
    root = {"cwd": Path(__file__).parents[2], "capture_output": True, "text": True}
    try:
        done = subprocess.run([str(word) for word in words], check=False, **root)
    except FileNotFoundError:
        pytest.skip("no namespaces here")
    if not done.stdout and ("permitted" in done.stderr or "denied" in done.stderr):
        pytest.skip(f"no mounts in a namespace of one's own: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    # HDF5 would end the process by a signal if it were let to begin.
    first, second, third, fourth, left = done.stdout.splitlines()
    needed = 4 * 2 * (512 * 512 + 512) + 5 * 8192
    assert fourth.startswith(f"{folder}: no room for d.weights.h5: {needed:,} needed, ")
    assert first == (
        f"{folder}: no room for run: 1,048,576 bytes free; make room, or choose another folder"
    )
    assert "no room for b: 1,048,576 bytes free" in second
    assert "no room for c.npy: 3,690,496 needed, 1,048,576 bytes free" in third
    assert third.endswith("or set cache_images=False, which decodes the images at every use")
    assert left == "[]"


def test_libraries_say_it_in_their_own_errors(tmp_path: Path) -> None:
    for error in (
        RuntimeError("write error in a.faiss: 1 != 2 (No space left on device)"),
        OSError("Can't write data (errno = 122, error message = 'Disk quota exceeded')"),
    ):
        with pytest.raises(DiskFullError, match="no room for a: .* bytes free; make room"):
            with replacing(tmp_path / "a") as temporary:
                temporary.write_text("half")
                raise error
        assert not list(tmp_path.iterdir())
