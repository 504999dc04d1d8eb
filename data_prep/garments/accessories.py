"""Bags, cloths and scarves worn where they hide nothing: decoys for the ones that hide parts."""

from __future__ import annotations

import skia

from data_prep.garments.body import ARM, arm_line
from data_prep.garments.cloth import Brush, edge_colour, fold_lines
from data_prep.garments.fabric import shade
from data_prep.garments.limb import resample
from data_prep.garments.outfit import Outfit
from data_prep.garments.pen import mirrored, outline
from data_prep.garments.scene import Scene


def draw_bag(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Hang a bag from a hand, or from the waist's side where there are no hands."""
    side = scene.prop_side
    x, y = resample(arm_line(scene, side), 1.1 * ARM, 1.12 * ARM, 2)[0]
    if outfit.support in ("form", "hanger"):
        return
    size = brush.random.uniform(0.28, 0.42)
    if scene.arms[(side + 1) // 2][1] < -20:
        x, y, size = x + side * 0.75, y - 0.1, size * 0.8
    handle = skia.Path()
    handle.addOval(skia.Rect.MakeLTRB(x - size * 0.6, y - 0.06, x + size * 0.6, y + 0.6))
    brush.line(handle, shade(scene.extra.second, 0.6), 0.05)
    body = skia.Path()
    body.addRoundRect(
        skia.Rect.MakeLTRB(x - size, y + 0.26, x + size, y + 0.3 + 1.3 * size), 0.08, 0.08
    )
    brush.cloth(body, scene.extra)


def draw_crossbody(brush: Brush, scene: Scene) -> None:
    """Wear a small bag across the chest; its strap is thin."""
    side = scene.prop_side
    strap = skia.Path()
    strap.moveTo(*scene.warp(-side * 0.6, 0.05))
    strap.quadTo(*scene.warp(side * 0.1, 1.2), *scene.warp(side * 0.72, 2.15))
    brush.line(strap, shade(scene.extra.colour, 0.7), 0.05)
    x, y = scene.warp(side * 0.78, 2.3)
    body = skia.Path()
    body.addRoundRect(skia.Rect.MakeLTRB(x - 0.25, y - 0.2, x + 0.25, y + 0.2), 0.06, 0.06)
    brush.cloth(body, scene.extra)


def draw_shawl_at_waist(brush: Brush, scene: Scene) -> None:
    """Tie the same cloth as a cape's around the hips, where it hides nothing."""
    half = [(0.82, 1.95), (0.86, 2.2), (0.4, 2.36, 0.0, 2.3)]
    path = mirrored(scene.warp, (0.0, 2.05), half)
    brush.cloth(path, scene.extra, fold_lines(brush.random, -0.8, 0.8, 1.95, 2.4, 4))
    side = scene.prop_side
    corners = [(side * 0.34, 2.95), (side * 0.66, 2.9), (side * 0.5, 2.1)]
    tail = outline(scene.warp, (side * 0.4, 2.1), corners)
    brush.cloth(tail, scene.extra)


def draw_scarf_on_arm(brush: Brush, scene: Scene) -> None:
    """Hang a scarf over the crook of an arm, beside the body."""
    line = arm_line(scene, -scene.prop_side)
    x, y = resample(line, 1.02, 1.06, 2)[0]
    x -= scene.prop_side * 0.22
    drop = brush.random.uniform(1.2, 1.7)
    path = skia.Path()
    path.addPoly(
        [skia.Point(x - 0.14, y), skia.Point(x + 0.14, y - 0.03)]
        + [skia.Point(x + 0.2, y + drop), skia.Point(x - 0.2, y + drop)],
        True,
    )
    brush.cloth(path, scene.extra, fold_lines(brush.random, x - 0.15, x + 0.15, y, y + drop, 3))


def draw_neckerchief(brush: Brush, scene: Scene) -> None:
    """Tie a narrow cloth around the neck, above the garment."""
    half = [(0.16, -0.24, 0.22, -0.3), (0.24, -0.14), (0.14, -0.02, 0.0, -0.02)]
    path = mirrored(scene.warp, (0.0, -0.2), half)
    brush.cloth(path, scene.extra)
    knot = outline(scene.warp, (0.0, -0.1), [(0.16, 0.02), (0.05, 0.08)])
    brush.fill(knot, edge_colour(scene.extra))
