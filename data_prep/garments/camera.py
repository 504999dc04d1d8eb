"""The camera: framing before drawing; light, blur, noise and colour after it."""

from __future__ import annotations

import functools
import math

import numpy as np
import skia
from PIL import Image

from data_prep.garments.body import ARM, arm_line
from data_prep.garments.limb import resample
from data_prep.garments.outfit import CROPPED, Outfit
from data_prep.garments.pen import Point
from data_prep.garments.scene import Scene
from data_prep.garments.values import CHIN, FLOOR, HEAD_TOP, NECK_ATTRIBUTES

MARGIN = 5.0  # pixels kept free around what must be seen, at 320 px
MAX_SCALE, MAX_BUST_SCALE = 72.0, 125.0  # pixels per u at 320 px
DETAIL, DETAIL_WIDTH = (1.25, 1.6), 0.85  # y (u) of the bottom edge; half-width shown
BUST = (1.5, 2.0)  # y (u) of the frame's bottom edge: below every neckline and short sleeve
NECK_CUT, CHEST_CUT = (0.88, 1.15)  # y (u) of the frame's top edge where it cuts the figure
NOISE_SIDE = 512  # pixels; more for larger images


def _sleeve_end(outfit: Outfit, scene: Scene, side: int) -> Point:
    """Return where a sleeve that is not hidden ends, on the arm's middle line."""
    share = 0.0 if "sleeve_length" in outfit.hidden else outfit.sleeve_end
    return resample(arm_line(scene, side), 0.0, share * ARM + 0.05, 2)[-1]


def frame(outfit: Outfit, scene: Scene, size: int) -> skia.Matrix:
    """Return the matrix from body coordinates (u) to pixels.

    Everything that a visible value needs lies inside the frame. A part that is hidden by the frame
    lies outside: then the frame's edge is anchored to the body, above the hem or below the neck.
    """
    camera, warp = scene.camera, scene.warp
    lower_only = outfit.kind in ("skirt", "trousers")
    cut_below = outfit.kind in CROPPED or any(
        way == "frame" for name, way in outfit.hidden.items() if name not in NECK_ATTRIBUTES
    )
    cut_neck = any(outfit.hidden.get(name) == "frame" for name in NECK_ATTRIBUTES)
    anchor_top: float | None = NECK_CUT if cut_neck else None
    if lower_only and not cut_below:
        anchor_top = CHEST_CUT
    whole = HEAD_TOP - 0.2 if outfit.support in ("person", "mannequin") else CHIN - 0.4
    cut = CHIN - 0.3
    top = anchor_top if anchor_top is not None else cut + camera.headroom * (whole - cut)
    arms = [] if lower_only else [point for s in (-1, 1) for point in arm_line(scene, s)]
    bottom, largest = warp(0.0, FLOOR + 0.2)[1], MAX_SCALE
    if cut_below:  # the sleeves stay in the frame, whatever their length
        hips = warp(0.0, 2.7)[1] + 0.4 * camera.shift[1]
        bottom = max([hips, *(y + 0.1 for _, y in arms)])
    wide = max([1.5, *(abs(x) + 0.15 for x, _ in arms)])
    if outfit.kind == "detail":
        top = CHIN - 0.1 - 0.3 * camera.headroom
        bottom = warp(0.0, DETAIL[0] + (DETAIL[1] - DETAIL[0]) * camera.shift[1])[1]
        wide, largest = DETAIL_WIDTH, 1e3
    if outfit.kind == "bust":
        bottom = warp(0.0, BUST[0] + (BUST[1] - BUST[0]) * camera.shift[1])[1]
        ends = [_sleeve_end(outfit, scene, s) for s in (-1, 1)]
        wide = max([1.1, *(abs(x) + 0.25 for x, _ in ends)])
        largest = MAX_BUST_SCALE

    turn = math.radians(camera.rotation)
    c, s = math.cos(turn), abs(math.sin(turn))
    free = size * (1.0 - 2.0 * MARGIN / 320.0)
    tall, across = (bottom - top) * c + 2 * wide * s, (bottom - top) * s + 2 * wide * c
    scale = min(free / tall, free / across, largest * size / 320.0) * camera.zoom

    matrix = skia.Matrix()
    matrix.setRotate(camera.rotation)
    matrix.preScale(scale, scale)
    matrix.preTranslate(0.0, -(top + bottom) / 2)
    x = size / 2 + (free - scale * across) / 2 * camera.shift[0]
    y = size / 2 + (free - scale * tall) * (camera.shift[1] - 0.5)
    if cut_below:
        y = size - matrix.mapXY(0.0, bottom).y()
    elif anchor_top is not None:
        y = -matrix.mapXY(0.0, anchor_top).y()
    matrix.postTranslate(x, y)
    return matrix


def draw_light(canvas: skia.Canvas, scene: Scene, size: int) -> None:
    """Darken the picture from one side."""
    angle = math.radians(scene.camera.light_angle)
    dx, dy = math.cos(angle) * size * 0.6, math.sin(angle) * size * 0.6
    ends = [(size / 2 - dx, size / 2 - dy), (size / 2 + dx, size / 2 + dy)]
    dark = skia.Color(0, 0, 10, int(255 * scene.camera.light_depth))
    shader = skia.GradientShader.MakeLinear(ends, [0, dark])
    canvas.drawPaint(skia.Paint(Shader=shader))


@functools.lru_cache(maxsize=1)
def _unit_noise(side: int) -> np.ndarray:
    return np.random.default_rng(20210406).standard_normal((side, side * 3), np.float32)


@functools.lru_cache(maxsize=32)
def _noise(deviation: int, side: int) -> np.ndarray:
    """Return noise (side, 3 side), int16, of a standard deviation in quarter grey levels.

    It is drawn once per process: an image takes a random window of it.
    """
    return np.rint(_unit_noise(side) * np.float32(deviation / 4.0)).astype(np.int16)


def _blurred(rows: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (h, 3 w) int16 by a three-tap kernel of about the standard deviation `sigma` px."""
    side = np.int16(round(128 * sigma * sigma / 2.0))  # fixed point: 128 is one
    for near, step in ((rows, 1), (rows.T, 3)):
        out = near * (128 - 2 * side)
        scaled = near * side
        out[step:] += scaled[:-step]
        out[:-step] += scaled[step:]
        out[:step] += scaled[:step]
        out[-step:] += scaled[-step:]
        near[...] = out >> 7
    return rows


def develop(pixels: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return the recorded picture, uint8 (h, w, 3), of a drawn one, uint8 (h, w, 4).

    Blur, exposure, contrast, white balance and noise, on rows of 3 w numbers of 16 bits.
    """
    camera = scene.camera
    h, w = pixels.shape[:2]
    rows = np.asarray(Image.fromarray(pixels).convert("RGB")).reshape(h, 3 * w).astype(np.int16)
    if camera.blur > 0:
        rows = _blurred(rows, camera.blur)
    side = max(NOISE_SIDE, h + 64, w + 64)
    noise = _noise(round(4 * camera.noise), side)
    y, x = (int(v) for v in rng.integers(0, (side - h + 1, side - w + 1)))
    # Contrast turns about middle grey; exposure and white balance scale. Fixed point: 64 is one,
    # so that the product of 255 and the largest gain (about 1.8) stays within 16 bits.
    gain = np.array(camera.white) * (camera.exposure * camera.contrast)
    rows *= np.tile(np.rint(64 * gain).astype(np.int16), w)
    rows >>= 6
    rows += np.int16(round(128 * camera.exposure * (1.0 - camera.contrast)))
    rows += noise[y : y + h, 3 * x : 3 * (x + w)]
    return np.clip(rows, 0, 255, out=rows).astype(np.uint8).reshape(h, w, 3)
