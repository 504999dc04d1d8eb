"""Bodies of tops, dresses and coats: the piece from the neck to its hem."""

from __future__ import annotations

import skia

from data_prep.garments.cloth import Brush, edge_colour, fold_lines
from data_prep.garments.fabric import Fabric, shade
from data_prep.garments.necklines import Neckline
from data_prep.garments.pen import Segment, both, flipped, mirrored, outline
from data_prep.garments.scene import Scene
from data_prep.garments.values import WAIST

HIP_WIDTH = 0.8


def _side(ease: float, hem: float, wide: float) -> list[Segment]:
    """Return the side seam from the armpit down to the hem."""
    waist = 0.56 + ease
    if hem < WAIST + 0.15:
        end = 0.57 + ease * 0.7
        return [(0.74, 1.2, end + 0.02, hem - 0.3, end, hem)]
    return [
        (0.72, 1.3, waist, 1.45, waist, WAIST),
        (waist + 0.08, WAIST + 0.2, wide - 0.05, min(hem, 2.4) - 0.15, wide, hem),
    ]


def armhole(sleeved: bool, ease: float) -> list[Segment]:
    """Return shoulder and armhole from the shoulder line's inner part to the armpit."""
    if sleeved:
        return [(0.8, 0.1), (0.95, 0.16, 0.95, 0.5, 0.79 + ease * 0.4, 0.85)]
    return [(0.64, 0.07), (0.62, 0.45, 0.66, 0.72, 0.77, 0.84)]


def draw_bodice(
    brush: Brush, scene: Scene, fabric: Fabric, neckline: Neckline, *, sleeved: bool, hem: float
) -> skia.Path:
    """Draw the body of a top or dress under a neckline and return its outline."""
    side = _side(scene.ease, hem, HIP_WIDTH + scene.ease)
    last = side[-1]
    bottom = (0.3, hem + 0.05, 0.0, hem + 0.05)
    if neckline.covered is None:
        arm = [] if neckline.low else armhole(sleeved, scene.ease)
        half = [*neckline.half, *arm, *side, bottom]
        path = mirrored(scene.warp, neckline.start, half)
    else:  # one shoulder: the two sides differ
        s = neckline.covered
        right = [*neckline.half, *armhole(sleeved, scene.ease), *side]
        ends = [(0.77, 0.72), *[p[-2:] for p in side]]
        up = [
            (*(-c if i % 2 == 0 else c for i, c in enumerate((*p[2:4], *p[0:2]))), -e[0], e[1])
            for p, e in zip(reversed(side), reversed(ends[:-1]), strict=True)
        ]
        points = [*right, (0.0, hem + 0.06, -last[-2], last[-1]), *up]
        path = outline(scene.warp, (s * neckline.start[0], neckline.start[1]), flipped(points, s))
    folds = fold_lines(brush.random, -0.6, 0.6, 0.95, scene.warp(0, hem)[1], 5)
    brush.cloth(path, fabric, folds)
    for x in neckline.straps:
        for strap in both(
            scene.warp, (x - 0.05, 0.02), [(x + 0.05, 0.04), (x + 0.05, 0.7), (x - 0.05, 0.7)]
        ):
            brush.cloth(strap, fabric, depth=0.3)
    return path


def draw_belt(brush: Brush, scene: Scene, fabric: Fabric) -> None:
    """Draw a belt at the waist."""
    w = 0.6 + scene.ease * 0.8
    half = [(w, WAIST - 0.09), (w, WAIST + 0.09), (w * 0.5, WAIST + 0.14, 0.0, WAIST + 0.14)]
    brush.cloth(mirrored(scene.warp, (0.0, WAIST - 0.05), half), fabric)


def draw_coat(
    brush: Brush, scene: Scene, fabric: Fabric, *, opening: float, hem: float, sleeved: bool
) -> skia.Path:
    """Draw a coat whose fronts meet at `opening` (y, u), and return its outline."""
    wide = HIP_WIDTH + 0.05 + scene.ease + (scene.flare * 0.7) * max(hem - 2.4, 0.0)
    gap = scene.front_gap * min(1.0, (hem - opening) / 2.0)
    half = [
        (0.06, opening * 0.7, 0.28, 0.15, 0.27, -0.05),
        *armhole(sleeved, scene.ease),
        *_side(scene.ease + 0.05, hem, wide),
        (wide * 0.5, hem + 0.05, gap, hem + 0.05),
        (gap * 0.6, opening + (hem - opening) * 0.3, 0.0, opening),
    ]
    if hem > 2.4:
        waist = 0.61 + scene.ease
        half[-3] = (waist + 0.05, WAIST + 0.3, wide - 0.08, 2.2, wide, hem)
    whole = skia.Path()
    for front in both(scene.warp, (0.0, opening), half):
        side = 1 if front.getBounds().centerX() > 0 else -1
        bottom = scene.warp(0, hem)[1]
        folds = fold_lines(brush.random, 0.1 * side, side * wide * 0.95, 0.8, bottom, 4)
        brush.cloth(front, fabric, folds)
        whole.addPath(front)
    for k in range(int((hem - opening) / 0.45)):
        y = opening + 0.12 + 0.45 * k
        if gap < 0.05 and y < hem - 0.2:
            x, y = scene.warp(0.07, y)
            brush.canvas.drawCircle(
                x, y, 0.045, skia.Paint(Color=edge_colour(fabric, 1.0), AntiAlias=True)
            )
    if hem > 2.3:
        for side in (-1, 1):
            pocket = outline(scene.warp, (side * 0.36, 2.02), [(side * 0.66, 1.96)], close=False)
            brush.line(pocket, edge_colour(fabric, 0.8), 0.035)
    return whole


def draw_lining(brush: Brush, scene: Scene, fabric: Fabric) -> None:
    """Draw the inside of the back of the neck, seen where no body fills the garment."""
    half = [(0.15, -0.12, 0.3, -0.06), (0.3, 0.9), (0.0, 1.5)]
    path = mirrored(scene.warp, (0.0, -0.12), half)
    brush.fill(path, shade(fabric.colour, 0.55))
