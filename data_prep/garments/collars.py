"""Collars: shirt, Peter Pan, puritan, and ribbed."""

from __future__ import annotations

import math

import skia

from data_prep.garments.cloth import Brush, edge_colour
from data_prep.garments.fabric import Fabric
from data_prep.garments.pen import Segment, both, mirrored
from data_prep.garments.scene import Scene

SHIRT, PETER_PAN, PURITAN, RIB = 1, 2, 3, 4


def _leaves(
    brush: Brush, scene: Scene, fabric: Fabric, start: tuple[float, float], half: list[Segment]
) -> list[skia.Path]:
    leaves = both(scene.warp, start, half)
    for leaf in leaves:
        brush.shadow(leaf, 0.5)
        brush.cloth(leaf, fabric, depth=0.4, edge=0.035)
    return leaves


def _shirt(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    stand = mirrored(
        scene.warp, (0.0, -0.06), [(0.2, -0.1, 0.26, -0.22), (0.3, -0.04), (0.16, 0.12, 0, 0.16)]
    )
    brush.cloth(stand, fabric, depth=0.6)
    tip, low = j(0.36, 0.46), j(0.4, 0.5)
    half = [
        (0.1, -0.08, 0.24, -0.26),
        (0.36, -0.16, 0.42, 0.0),
        (tip, low),
        (0.16, 0.2, 0.02, 0.12),
    ]
    leaves = _leaves(brush, scene, fabric, (0.02, 0.08), half)
    placket = skia.Path()
    placket.moveTo(*scene.warp(0.0, 0.14))
    placket.lineTo(*scene.warp(0.0, 1.5))
    brush.line(placket, edge_colour(fabric, 0.7), 0.025)
    for y in (0.22, 0.58, 0.94, 1.3):
        x, y = scene.warp(0.06, y)
        paint = skia.Paint(Color=edge_colour(fabric, 1.0), AntiAlias=True)
        brush.canvas.drawCircle(x, y, 0.035, paint)
    return [stand, *leaves]


def _peter_pan(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    wide, low = j(0.56, 0.62), j(0.48, 0.56)
    half = [
        (0.2, 0.1, 0.27, 0.0, 0.27, -0.12),
        (0.42, -0.06, wide, 0.05, wide, 0.22),
        (wide, 0.4, 0.36, low, 0.22, low),
        (0.08, low, 0.02, 0.34, 0.01, 0.14),
    ]
    return _leaves(brush, scene, fabric, (0.01, 0.14), half)


def _puritan(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    wide, low, corner = j(0.8, 0.86), j(0.86, 1.0), j(0.62, 0.74)
    half = [
        (0.2, 0.1, 0.27, 0.0, 0.27, -0.12),
        (0.5, -0.02, 0.76, 0.04, wide, 0.24),
        (wide + 0.01, corner),
        (0.6, corner + 0.1, 0.4, low - 0.1, 0.16, low),
        (0.02, 0.18),
    ]
    return _leaves(brush, scene, fabric, (0.01, 0.14), half)


def _rib(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    depth, width = j(0.16, 0.22), j(0.17, 0.21)
    half = [
        (0.17, depth, 0.25, 0.06, 0.25, -0.16),
        (0.25 + width * 0.8, -0.08),
        (0.25 + width, 0.16, 0.24, depth + width, 0.0, depth + width),
    ]
    band = mirrored(scene.warp, (0.0, depth), half)
    # Both ends of the right half lie on x = 0, so the mirrored outline is a ring open at the top.
    brush.shadow(band)
    brush.cloth(band, fabric, depth=0.4, edge=0.035)
    ribs = skia.Path()
    for k in range(25):
        angle = math.pi * (0.02 + 0.96 * k / 24)
        c, s = math.cos(angle), math.sin(angle)
        inner = 0.24 * c, -0.1 + (depth + 0.1) * s
        outer = (0.25 + width) * c, -0.1 + (depth + width + 0.1) * s
        ribs.moveTo(*scene.warp(*inner))
        ribs.lineTo(*scene.warp(*outer))
    brush.canvas.save()
    brush.canvas.clipPath(band, doAntiAlias=True)
    brush.line(ribs, edge_colour(fabric, 0.95), 0.03)
    brush.canvas.restore()
    return [band]


def draw_collar(brush: Brush, scene: Scene, fabric: Fabric, value: int) -> list[skia.Path]:
    """Draw the collar of value 1 to 4 and return its paths."""
    cloth = scene.trim or fabric
    return {SHIRT: _shirt, PETER_PAN: _peter_pan, PURITAN: _puritan, RIB: _rib}[value](
        brush, scene, cloth
    )
