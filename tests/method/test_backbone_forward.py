"""The residual networks against a NumPy one, written after torchvision's source layout."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asen_tf.backbones import build_backbone


class NaiveNetwork:
    """Runs the layers by name; every window is padded by half the kernel on each side."""

    def __init__(self, model: keras.Model) -> None:
        self.weights = {weight.name: weight.numpy().astype(float) for weight in model.weights}
        self.used: set[str] = set()

    def get(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.weights[name]

    def windows(self, x: np.ndarray, kernel: int, stride: int, fill: float):
        """Yield each kernel position and the input pixels below it."""
        pad = kernel // 2
        height, width = ((side + 2 * pad - kernel) // stride + 1 for side in x.shape[:2])
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)), constant_values=fill)
        for i in range(kernel):
            for j in range(kernel):
                rows, columns = i + stride * np.arange(height), j + stride * np.arange(width)
                yield i, j, x[rows][:, columns]

    def conv(self, x: np.ndarray, conv: str, norm: str, stride: int = 1) -> np.ndarray:
        kernel = self.get(f"{conv}/kernel:0")
        y = sum(pixels @ kernel[i, j] for i, j, pixels in self.windows(x, len(kernel), stride, 0))
        gamma, beta, mean, variance = (
            self.get(f"{norm}/{name}:0")
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def pool(self, x: np.ndarray) -> np.ndarray:
        return np.max([pixels for _, _, pixels in self.windows(x, 3, 2, -np.inf)], axis=0)

    def block(self, x: np.ndarray, name: str, strides: tuple[int, ...]) -> np.ndarray:
        """A residual block: one stride for each convolution, and ReLU between them."""
        y = x
        for index, stride in enumerate(strides, start=1):
            y = self.conv(np.maximum(y, 0), f"{name}_conv{index}", f"{name}_bn{index}", stride)
        if f"{name}_downsample_0/kernel:0" in self.weights:
            x = self.conv(x, f"{name}_downsample_0", f"{name}_downsample_1", max(strides))
        return np.maximum(x + y, 0)

    def resnet(self, x: np.ndarray, *, bottleneck: bool) -> np.ndarray:
        x = self.pool(np.maximum(self.conv(x, "conv1", "bn1", 2), 0))
        for stage, blocks in ((1, 3), (2, 4), (3, 6)):
            for index in range(blocks):
                stride = 2 if stage > 1 and index == 0 else 1
                strides = (1, stride, 1) if bottleneck else (stride, 1)
                x = self.block(x, f"layer{stage}_{index}", strides)
        return x

    def compact(self, x: np.ndarray) -> np.ndarray:
        for stem in ("stem1", "stem2"):
            x = np.maximum(self.conv(x, f"{stem}_conv", f"{stem}_bn", 2), 0)
        x = self.block(self.block(x, "layer1_0", (2, 1)), "layer1_1", (1, 1))
        return self.place(np.maximum(self.conv(x, "place_conv", "place_bn"), 0))

    def place(self, x: np.ndarray) -> np.ndarray:
        """Weigh every channel by its sum of cosines, position by position."""
        kernel, bias = self.get("place_gate/kernel:0"), self.get("place_gate/bias:0")
        (height, width), out = x.shape[:2], np.empty_like(x)
        for row, column in np.ndindex(height, width):
            y, z = (row + 0.5) / height, (column + 0.5) / width
            waves = [np.cos(np.pi * k * y) * np.cos(np.pi * n * z) for k, n in np.ndindex(5, 5)]
            out[row, column] = x[row, column] / (1 + np.exp(-(np.array(waves[1:]) @ kernel + bias)))
        return out


@pytest.mark.parametrize("name", ["resnet50", "resnet34", "compact"])
def test_the_forward_pass_is_torchvisions(name: str) -> None:
    rng = np.random.default_rng(0)
    model = build_backbone(name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Uneven statistics, small variances included, where epsilon counts.
            size = layer.gamma.shape
            low, high = (1e-4, 1e-3) if layer.name in ("bn1", "stem1_bn") else (0.5, 1.5)
            norms = rng.uniform(0.5, 1.0, size), rng.normal(0, 0.3, size), rng.normal(0, 0.3, size)
            layer.set_weights([*norms, rng.uniform(low, high, size)])
    for shape in ((64, 48), (37, 50)):  # even sides show uneven padding
        image = rng.normal(size=(*shape, 3)).astype(np.float32)
        naive = NaiveNetwork(model)
        if name == "compact":
            expected = naive.compact(image)
        else:
            expected = naive.resnet(image, bottleneck=name == "resnet50")
        found = model(image[None])[0].numpy()
        assert naive.used == set(naive.weights)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
