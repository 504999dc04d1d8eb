"""Fabrics: a colour pair and a repeating pattern, drawn as a small tile and used as a shader."""

from __future__ import annotations

import colorsys
import functools
import math
import random
from dataclasses import dataclass

import numpy as np
import skia

from data_prep.garments.outfit import pick

PATTERNS = dict(plain=0.36, stripes=0.15, checks=0.13, dots=0.12, floral=0.12, knit=0.12)
TILE = 48  # pixels of a tile's side

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Fabric:
    """One cloth; `scale` is the tile's side in u, `angle` in degrees, `fold` its depth."""

    pattern: str
    colour: Colour
    second: Colour
    scale: float
    angle: float
    fold: float
    seed: int


def distance(a: Colour, b: Colour) -> float:
    """Return how unlike two colours look, 0 to about 255 (luma counts most)."""
    r, g, b_ = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    luma = 0.30 * r + 0.59 * g + 0.11 * b_
    return math.sqrt(luma**2 + 0.15 * (r * r + g * g + b_ * b_))


def random_colour(rng: np.random.Generator, avoid: tuple[Colour, ...] = ()) -> Colour:
    """Sample a colour that stands out from every colour to avoid, as far as 30 tries allow."""
    best, best_gap = (128, 128, 128), -1.0
    for _ in range(30):
        saturation = rng.uniform(0.0, 0.25) if rng.random() < 0.35 else rng.uniform(0.25, 0.85)
        rgb = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.16, 0.97))
        colour = (int(rgb[0] * 255), int(rgb[1] * 255), int(rgb[2] * 255))
        gap = min((distance(colour, other) for other in avoid), default=255.0)
        if gap > best_gap:
            best, best_gap = colour, gap
        if gap >= 80.0:
            break
    return best


def muted(rng: np.random.Generator, avoid: tuple[Colour, ...] = ()) -> Colour:
    """Sample a colour of a wall or floor: like cloth, but closer to grey."""
    r, g, b = random_colour(rng, avoid)
    grey, keep = 0.30 * r + 0.59 * g + 0.11 * b, float(rng.uniform(0.25, 0.8))
    return tuple(int(grey + keep * (c - grey)) for c in (r, g, b))  # type: ignore[return-value]


def random_fabric(rng: np.random.Generator, avoid: tuple[Colour, ...] = ()) -> Fabric:
    """Sample a fabric; neither its colour nor its pattern depends on any label."""
    colour = random_colour(rng, avoid)
    tint = rng.uniform(0.12, 0.32)
    other = 255 if sum(colour) < 360 else 0
    second = tuple(int(c + (other - c) * tint) for c in colour)
    return Fabric(
        pattern=pick(rng, PATTERNS),
        colour=colour,
        second=second,
        scale=float(rng.uniform(0.45, 0.95)),
        angle=(0.0, 90.0, float(rng.uniform(0.0, 180.0)))[int(rng.integers(3))],
        fold=float(rng.uniform(0.6, 1.3)),
        seed=int(rng.integers(2**31)),
    )


@functools.lru_cache(maxsize=512)
def shade(colour: Colour, factor: float, alpha: float = 1.0) -> int:
    """Return `colour` darker (factor < 1) or lighter (factor > 1) as a skia colour."""
    if factor <= 1.0:
        r, g, b = (int(c * factor) for c in colour)
    else:
        r, g, b = (int(c + (255 - c) * min(factor - 1.0, 1.0)) for c in colour)
    return skia.Color(r, g, b, int(alpha * 255))


def _flower(canvas: skia.Canvas, x: float, y: float, radius: float, paint: skia.Paint) -> None:
    for k in range(5):
        angle = k * 2 * math.pi / 5
        centre = x + radius * math.cos(angle), y + radius * math.sin(angle)
        canvas.drawCircle(*centre, radius * 0.62, paint)


@functools.lru_cache(maxsize=16)
def _tile(fabric: Fabric) -> skia.Image:
    pixels = np.zeros((TILE, TILE, 4), np.uint8)
    canvas = skia.Surface(pixels).getCanvas()
    canvas.clear(shade(fabric.colour, 1.0))
    draw = random.Random(fabric.seed)
    paint = skia.Paint(Color=shade(fabric.second, 1.0), AntiAlias=True)
    half = skia.Paint(Color=shade(fabric.second, 1.0, 0.5), AntiAlias=True)
    if fabric.pattern == "stripes":
        count = draw.choice((2, 3))
        width = TILE / count * draw.uniform(0.2, 0.55)
        for k in range(count):
            canvas.drawRect(skia.Rect.MakeXYWH(k * TILE / count, 0, width, TILE), paint)
    elif fabric.pattern == "checks":
        width = TILE * draw.uniform(0.12, 0.3)
        for k in range(2):
            canvas.drawRect(skia.Rect.MakeXYWH(k * TILE / 2, 0, width, TILE), half)
            canvas.drawRect(skia.Rect.MakeXYWH(0, k * TILE / 2, TILE, width), half)
    elif fabric.pattern == "dots":
        radius = TILE * draw.uniform(0.08, 0.14)
        for x, y in ((0.25, 0.25), (0.75, 0.75)):
            canvas.drawCircle(x * TILE, y * TILE, radius, paint)
    elif fabric.pattern == "floral":
        for x, y in ((0.27, 0.3), (0.72, 0.66), (0.75, 0.2), (0.25, 0.78)):
            radius = TILE * draw.uniform(0.07, 0.12)
            x, y = x + draw.uniform(-0.05, 0.05), y + draw.uniform(-0.05, 0.05)
            _flower(canvas, x * TILE, y * TILE, radius, draw.choice((paint, half)))
            canvas.drawCircle(x * TILE, y * TILE, radius * 0.4, half)
    elif fabric.pattern == "knit":
        dark = skia.Paint(Color=shade(fabric.colour, 0.72), AntiAlias=True, StrokeWidth=2)
        light = skia.Paint(Color=shade(fabric.colour, 1.15), AntiAlias=True, StrokeWidth=2)
        step = TILE / 4
        for column in range(4):
            for row in range(-1, 5):
                x, y = column * step, row * step
                canvas.drawLine(x, y, x + step / 2, y + step * 0.8, dark)
                canvas.drawLine(x + step / 2, y + step * 0.8, x + step, y, light)
    return skia.Image.fromarray(pixels)


def fabric_paint(fabric: Fabric) -> skia.Paint:
    """Return the paint that fills a shape in body coordinates with the fabric."""
    if fabric.pattern == "plain":
        return skia.Paint(Color=shade(fabric.colour, 1.0), AntiAlias=True)
    matrix = skia.Matrix()
    matrix.setRotate(0.0 if fabric.pattern == "knit" else fabric.angle)
    matrix.preScale(fabric.scale / TILE, fabric.scale / TILE)
    repeat = skia.TileMode.kRepeat
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    shader = _tile(fabric).makeShader(repeat, repeat, sampling, matrix)
    return skia.Paint(Shader=shader, AntiAlias=True)
