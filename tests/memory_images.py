"""Images in memory, for the tests of what reads images."""

from __future__ import annotations

import numpy as np


class Memory:
    """Images in memory; keeps which ones were asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.side, self.asked = array, array.shape[1], []

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        self.asked += np.asarray(indices).tolist()
        return self.array[indices]
