"""High and draped necks: turtle, ruffled semi-high, low turtle, draped."""

from __future__ import annotations

import skia

from data_prep.garments.cloth import Brush, edge_colour
from data_prep.garments.fabric import Fabric, shade
from data_prep.garments.pen import mirrored
from data_prep.garments.scene import Scene
from data_prep.garments.values import CHIN

TURTLE, RUFFLE, LOW_TURTLE, DRAPED = 1, 2, 3, 4


def _roll(brush: Brush, scene: Scene, fabric: Fabric, top: float, flare: float) -> skia.Path:
    """Draw a tube around the neck from `top` down to the base of the neck."""
    half = [
        (0.16, top + 0.06, 0.235, top),
        (0.28 + flare, (top + 0.05) * 0.6, 0.28, -0.03),
        (0.33, 0.06),
        (0.18, 0.24, 0.0, 0.25),
    ]
    path = mirrored(scene.warp, (0.0, top + 0.07), half)
    brush.shadow(path, 0.45)
    brush.cloth(path, fabric, depth=1.2, edge=0.035)
    return path


def _curve(scene: Scene, y: float, width: float, sag: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(*scene.warp(-width, y - sag))
    path.quadTo(*scene.warp(0.0, y + sag), *scene.warp(width, y - sag))
    return path


def _turtle(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    path = _roll(brush, scene, fabric, CHIN + brush.random.uniform(-0.02, 0.03), 0.06)
    fold = _curve(scene, -0.08 + brush.random.uniform(-0.04, 0.04), 0.31, 0.07)
    brush.soft(fold, shade((0, 0, 0), 1, 0.4), 0.07, 0.035)
    brush.line(fold, edge_colour(fabric, 0.9), 0.03)
    return [path]


def _low_turtle(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    path = _roll(brush, scene, fabric, brush.random.uniform(-0.17, -0.11), 0.0)
    brush.line(_curve(scene, 0.12, 0.3, 0.08), edge_colour(fabric, 0.5), 0.02)
    return [path]


def _frill(
    brush: Brush, scene: Scene, fabric: Fabric, y: float, wide: float, tall: float
) -> skia.Path:
    """Draw one row of ruffles: gathered along its lower edge at `y`, waving along its upper."""
    waves, path = brush.random.choice((5, 6, 7)), skia.Path()
    foot = wide * 0.62
    path.moveTo(*scene.warp(-foot, y))
    path.lineTo(*scene.warp(-wide, y - tall * 0.75))
    for k in range(waves):
        x0, x1 = (-wide + 2 * wide * (k + t) / waves for t in (0.0, 1.0))
        lift = tall * brush.random.uniform(0.95, 1.25)
        path.cubicTo(
            *scene.warp(x0 - 0.03, y - lift * 1.35),
            *scene.warp(x1 + 0.03, y - lift * 1.35),
            *scene.warp(x1, y - tall * 0.75),
        )
    path.lineTo(*scene.warp(foot, y))
    path.quadTo(*scene.warp(0.0, y + 0.16), *scene.warp(-foot, y))
    path.close()
    brush.shadow(path, 0.4)
    pleats = skia.Path()
    for k in range(1, waves):
        x = -wide + 2 * wide * k / waves
        pleats.moveTo(*scene.warp(x, y - tall * 0.8))
        pleats.lineTo(*scene.warp(x * 0.64, y + 0.12))
    brush.cloth(path, fabric, pleats, depth=0.5, edge=0.035)
    brush.canvas.save()
    brush.canvas.clipPath(path, doAntiAlias=True)
    brush.line(pleats, edge_colour(fabric, 0.8), 0.028)
    brush.canvas.restore()
    return path


def _ruffle(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    paths = [_roll(brush, scene, fabric, -0.14, 0.0)]
    paths.append(_frill(brush, scene, fabric, 0.24, j(0.62, 0.7), j(0.2, 0.25)))
    paths.append(_frill(brush, scene, fabric, 0.0, j(0.5, 0.58), j(0.27, 0.32)))
    return paths


def _draped(brush: Brush, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    j = brush.random.uniform
    depth = j(0.78, 0.95)
    half = [(0.26, 0.36, 0.48, 0.2, 0.5, 0.0), (0.66, 0.05), (0.62, 0.4, 0.36, depth, 0.0, depth)]
    path = mirrored(scene.warp, (0.0, 0.36), half)
    brush.shadow(path, 0.3)
    brush.cloth(path, fabric, depth=0.3, edge=0.022)
    brush.canvas.save()
    brush.canvas.clipPath(path, doAntiAlias=True)
    for k in range(4):
        t = (k + j(0.1, 0.5)) / 4
        y = 0.42 + t * (depth - 0.42)
        loop = skia.Path()
        loop.moveTo(*scene.warp(-0.64, -0.02 + 0.1 * t))
        loop.cubicTo(
            *scene.warp(-0.5 + 0.1 * t, y + 0.06),
            *scene.warp(0.5 - 0.1 * t, y + 0.06),
            *scene.warp(0.64, -0.02 + 0.1 * t),
        )
        brush.soft(loop, shade((0, 0, 0), 1, 0.42), 0.07, 0.035)
        brush.canvas.translate(0.0, 0.06)
        brush.line(loop, shade((255, 255, 255), 1, 0.2), 0.035)
        brush.canvas.translate(0.0, -0.06)
    brush.canvas.restore()
    return [path]


def draw_neck(brush: Brush, scene: Scene, fabric: Fabric, value: int) -> list[skia.Path]:
    """Draw the neck of value 1 to 4 and return its paths."""
    draw = {TURTLE: _turtle, RUFFLE: _ruffle, LOW_TURTLE: _low_turtle, DRAPED: _draped}[value]
    return draw(brush, scene, scene.trim or fabric)
