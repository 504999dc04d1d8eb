"""Neckline shapes: the upper edge of a top or dress."""

from __future__ import annotations

from dataclasses import dataclass

import skia

from data_prep.garments.cloth import Brush, edge_colour
from data_prep.garments.fabric import Fabric
from data_prep.garments.outfit import OFF_SHOULDER, ONE_SHOULDER, STRAIGHT, STRAPLESS, Outfit
from data_prep.garments.pen import Point, Segment, both, flipped, mirrored, outline
from data_prep.garments.scene import Scene
from data_prep.garments.sleeves import neckline_value, one_shoulder_side

DEEP_V, V, SQUARE, SWEETHEART = 2, 4, 5, 8


@dataclass(frozen=True)
class Neckline:
    """The edge from the middle (`start`) to the shoulder, or to the armpit when `low`.

    `straps` are the x of thin straps; `covered` is the side of a one-shoulder garment, whose
    edge runs from the bare armpit to the covered shoulder.
    """

    start: Point
    half: list[Segment]
    low: bool = False
    straps: tuple[float, ...] = ()
    covered: int | None = None


def plain_neckline(depth: float = 0.2) -> Neckline:
    """Return a small round neckline."""
    return Neckline((0.0, depth), [(0.2, depth, 0.26, 0.1, 0.27, -0.05)])


def make_neckline(brush: Brush, outfit: Outfit, scene: Scene) -> Neckline:
    """Return the neckline of an outfit with a little jitter."""
    j = brush.random.uniform
    value = neckline_value(outfit)
    if value == STRAPLESS or (value == STRAIGHT and outfit.straps) or value == OFF_SHOULDER:
        y = j(0.52, 0.62)
        straps = (j(0.36, 0.5),) if value == STRAIGHT else ()
        return Neckline((0.0, y), [(0.4, y - 0.01, 0.78, y - j(0.0, 0.04))], True, straps)
    if value == ONE_SHOULDER:
        y, x = j(0.66, 0.76), j(0.26, 0.34)
        edge = (-0.3, y - 0.05, x - 0.1, 0.45, x, -0.04)
        return Neckline((-0.77, y), [edge], covered=one_shoulder_side(scene))
    if value in (V, DEEP_V):
        x, y = j(0.28, 0.38), j(1.22, 1.42) if value == DEEP_V else j(0.52, 0.66)
        return Neckline((0.0, y), [(x * 0.5, y * 0.55, x, -0.03)])
    if value == STRAIGHT:
        x, y = j(0.6, 0.66), j(0.11, 0.15)
        return Neckline((0.0, y), [(x, y - 0.02), (x + 0.01, 0.07)])
    if value == SQUARE:
        x, y = j(0.36, 0.46), j(0.48, 0.58)
        return Neckline((0.0, y), [(x, y), (x + 0.02, 0.02)])
    if value == SWEETHEART:
        x, y, up = j(0.44, 0.52), j(0.62, 0.72), j(0.36, 0.42)
        return Neckline((0.0, y), [(0.05, up, x - 0.05, up - 0.08, x, up + 0.12), (x + 0.02, 0.03)])
    if value != 0:  # round
        x, y = j(0.34, 0.44), j(0.4, 0.52)
        return Neckline((0.0, y), [(x * 0.7, y, x, y * 0.6, x, -0.01)])
    if outfit.neck == ("neck_design", 4):
        return Neckline((0.0, 0.36), [(0.25, 0.36, 0.46, 0.2, 0.5, 0.03)])
    return plain_neckline()


def neckline_edge(scene: Scene, neckline: Neckline) -> skia.Path:
    """Return the open path of the neckline's edge."""
    if neckline.covered is None:
        right = mirrored(scene.warp, neckline.start, neckline.half, close=False)
        # The mirrored outline joins the two shoulders by a line: only its bounds are used.
        return right
    s = neckline.covered
    return outline(
        scene.warp,
        (s * neckline.start[0], neckline.start[1]),
        flipped(neckline.half, s),
        close=False,
    )


def draw_neckline(
    brush: Brush, outfit: Outfit, scene: Scene, fabric: Fabric, neckline: Neckline
) -> list[skia.Path]:
    """Draw binding, or the band of an off-shoulder garment; return the neckline's paths."""
    value = neckline_value(outfit)
    if value == OFF_SHOULDER:
        y = neckline.start[1]
        half = [
            (0.5, y - 0.02, 0.98, y - 0.22),
            (1.07, y - 0.05, 1.06, y + 0.14),
            (0.6, y + 0.34, 0.0, y + 0.36),
        ]
        band = mirrored(scene.warp, (0.0, y), half)
        pleats = skia.Path()
        for k in range(9):
            x = -0.9 + 1.8 * (k + brush.random.uniform(0.2, 0.8)) / 9
            pleats.moveTo(*scene.warp(x, y - 0.12))
            pleats.lineTo(*scene.warp(x * 1.02, y + 0.22))
        brush.shadow(band)
        brush.cloth(band, scene.trim or fabric, pleats)
        return [band]
    paths = [neckline_edge(scene, neckline)]
    if neckline.straps:
        x = neckline.straps[0]
        paths += both(scene.warp, (x, 0.0), [(x + 0.05, 0.0), (x + 0.05, 0.5)])
    colour = edge_colour(scene.trim or fabric, 0.9)
    if value not in (0, ONE_SHOULDER):
        for half in (neckline.half, flipped(neckline.half)):
            edge = outline(scene.warp, neckline.start, half, close=False)
            brush.line(edge, colour, 0.05)
    elif value == ONE_SHOULDER:
        brush.line(paths[0], colour, 0.05)
    return paths
