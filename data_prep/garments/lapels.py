"""Lapels of coats: notched, none, shawl, and the very large shawl."""

from __future__ import annotations

import skia

from data_prep.garments.cloth import Brush, edge_colour
from data_prep.garments.fabric import Fabric
from data_prep.garments.pen import both, outline
from data_prep.garments.scene import Scene

NOTCHED, COLLARLESS, SHAWL, PLUS_SHAWL = 1, 2, 3, 4


def lapel_opening(brush: Brush, value: int, hem: float) -> float:
    """Return the y (u) at which the fronts of a coat meet; value 0 is closed to the neck."""
    if value == 0:
        return 0.16
    return min(brush.random.uniform(1.15, 1.45), hem - 0.12)


def _draw(brush: Brush, fabric: Fabric, pieces: list[skia.Path]) -> list[skia.Path]:
    for piece in pieces:
        brush.shadow(piece, 0.5)
    for piece in pieces:
        brush.cloth(piece, fabric, depth=0.45, edge=0.035)
    return pieces


def _notched(brush: Brush, scene: Scene, fabric: Fabric, low: float) -> list[skia.Path]:
    j = brush.random.uniform
    wide, peak = j(0.58, 0.68), j(0.42, 0.52)
    front = [
        (0.06, low * 0.7, 0.22, 0.3, 0.25, 0.16),
        (0.42, peak - 0.1),
        (wide, peak - 0.06),
        (wide - 0.08, peak + 0.3, 0.2, low - 0.25, 0.0, low),
    ]
    collar = [(0.36, -0.14, 0.48, 0.0), (0.56, peak - 0.3), (0.36, peak - 0.12), (0.24, 0.2)]
    lapels = _draw(brush, fabric, both(scene.warp, (0.0, low), front))
    return lapels + _draw(brush, fabric, both(scene.warp, (0.2, -0.16), collar))


def _shawl(brush: Brush, scene: Scene, fabric: Fabric, low: float) -> list[skia.Path]:
    wide = brush.random.uniform(0.44, 0.52)
    half = [
        (0.06, low * 0.7, 0.26, 0.2, 0.21, -0.16),
        (0.36, -0.12, wide, 0.1, wide, 0.38),
        (wide, 0.75, 0.2, low - 0.2, 0.0, low),
    ]
    return _draw(brush, fabric, both(scene.warp, (0.0, low), half))


def _plus(brush: Brush, scene: Scene, fabric: Fabric, low: float) -> list[skia.Path]:
    wide = brush.random.uniform(0.82, 0.88)
    half = [
        (0.05, low * 0.7, 0.25, 0.2, 0.2, -0.24),
        (0.45, -0.24, wide, 0.0, wide, 0.46),
        (wide, 0.95, 0.5, low + 0.02, 0.0, low + 0.1),
    ]
    return _draw(brush, fabric, both(scene.warp, (0.0, low), half))


def _collarless(brush: Brush, scene: Scene, fabric: Fabric, low: float) -> list[skia.Path]:
    edges = []
    for side in (-1, 1):
        curve = (side * 0.06, low * 0.7, side * 0.28, 0.15, side * 0.27, -0.05)
        edge = outline(scene.warp, (0.0, low), [curve], close=False)
        brush.line(edge, edge_colour(fabric, 1.0), 0.05)
        edges.append(edge)
    return edges


def draw_lapel(
    brush: Brush, scene: Scene, fabric: Fabric, value: int, low: float
) -> list[skia.Path]:
    """Draw the lapel of value 1 to 4 on a coat that opens down to `low`; return its paths."""
    kind = {NOTCHED: _notched, COLLARLESS: _collarless, SHAWL: _shawl, PLUS_SHAWL: _plus}[value]
    return kind(brush, scene, fabric if value == COLLARLESS else scene.trim or fabric, low)
