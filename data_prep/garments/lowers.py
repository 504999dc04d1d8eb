"""Skirts and trousers."""

from __future__ import annotations

import skia

from data_prep.garments.body import leg_middle
from data_prep.garments.cloth import Brush, edge_colour, fold_lines
from data_prep.garments.fabric import Fabric
from data_prep.garments.pen import flipped, mirrored, outline
from data_prep.garments.scene import Scene
from data_prep.garments.values import WAIST


def _band(brush: Brush, scene: Scene, fabric: Fabric, width: float) -> None:
    """Draw the waistband; width is the half-width of the waist."""
    half = [(width, WAIST - 0.06), (width + 0.02, WAIST + 0.1), (width, WAIST + 0.14, 0, 1.9)]
    brush.cloth(mirrored(scene.warp, (0.0, WAIST - 0.03), half), fabric, depth=0.8)


def draw_skirt(brush: Brush, scene: Scene, fabric: Fabric, hem: float) -> skia.Path:
    """Draw a skirt from the waist to `hem` (y, u) and return its outline."""
    hip = 0.8 + 0.25 * scene.ease
    wide = hip + scene.flare * (hem - 2.4) + 0.03
    drop = brush.random.uniform(0.02, 0.07)
    half = [
        (0.57, WAIST),
        (0.66, 2.1, hip, 2.3, hip, 2.65),
        (hip, 2.9, wide - 0.05, hem - 0.4, wide, hem - 0.03),
        (wide * 0.6, hem + drop, 0.0, hem + drop),
    ]
    path = mirrored(scene.warp, (0.0, WAIST), half)
    left, right = scene.warp(-wide, hem)[0], scene.warp(wide, hem)[0]
    bottom = scene.warp(0, hem)[1]
    folds = fold_lines(brush.random, left, right, WAIST, bottom, brush.random.choice((5, 7, 10)))
    brush.cloth(path, fabric, folds)
    seam = skia.Path()
    seam.moveTo(*scene.warp(-wide, hem - 0.12))
    seam.quadTo(*scene.warp(0.0, hem - 0.04 + drop), *scene.warp(wide, hem - 0.12))
    brush.canvas.save()
    brush.canvas.clipPath(path, doAntiAlias=True)
    brush.line(seam, edge_colour(fabric, 0.4), 0.02)
    brush.canvas.restore()
    _band(brush, scene, fabric, 0.585)
    return path


def draw_trousers(brush: Brush, scene: Scene, fabric: Fabric, hem: float) -> skia.Path:
    """Draw trousers from the waist to `hem` (y, u) and return their outline."""
    hip, crotch = 0.8 + 0.3 * scene.leg_ease, 2.98
    whole = skia.Path()
    for side in (-1, 1):
        middle = abs(leg_middle(scene, side, hem))
        calf = 0.36 - 0.2 * min(max((hem - 2.6) / 3.1, 0.0), 1.0)
        inner, outer = (middle - calf - scene.leg_ease * 0.9, middle + calf + scene.leg_ease * 0.9)
        inner = max(inner, 0.03)
        points = [
            (0.57, WAIST),
            (0.68, 2.1, hip, 2.3, hip, 2.7),
            (hip, 3.0, outer + 0.05, hem - 0.4, outer, hem),
            ((inner + outer) / 2, hem + 0.06, inner, hem),
            (inner, hem - 0.35, 0.05, crotch + 0.3, 0.015, crotch),
        ]
        leg = outline(scene.warp, (0.0, WAIST), flipped(points, side))
        crease = skia.Path()
        centre = (inner + outer) / 2
        crease.moveTo(*scene.warp(side * 0.45, 2.5))
        crease.quadTo(*scene.warp(side * 0.45, hem - 0.6), *scene.warp(side * centre, hem - 0.05))
        for _ in range(4):
            y = brush.random.uniform(2.8, hem)
            crease.moveTo(*scene.warp(side * brush.random.uniform(0.1, 0.5), y))
            end = y + brush.random.uniform(0.0, 0.25)
            crease.lineTo(*scene.warp(side * brush.random.uniform(0.4, 0.7), end))
        brush.cloth(leg, fabric, crease)
        cuff = outline(
            scene.warp,
            (side * inner, hem - 0.1),
            [(side * (inner + outer) / 2, hem - 0.04, side * outer, hem - 0.1)],
            close=False,
        )
        brush.line(cuff, edge_colour(fabric, 0.45), 0.02)
        whole.addPath(leg)
    _band(brush, scene, fabric, 0.585)
    return whole
