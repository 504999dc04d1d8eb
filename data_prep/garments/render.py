"""One image: sample outfit and scene, draw them, and find the true box of every labelled part.

The box of a length is around its end, the hem or a cuff: that is where the value is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import skia

from data_prep.garments import body, camera, collars, head, lapels, lowers, necks, occluders, tops
from data_prep.garments.background import draw_background
from data_prep.garments.cloth import Brush
from data_prep.garments.necklines import draw_neckline, make_neckline, plain_neckline
from data_prep.garments.outfit import Outfit, sample_outfit
from data_prep.garments.scene import Scene, sample_scene
from data_prep.garments.sleeves import around_cuffs, draw_sleeves
from data_prep.garments.values import FLOOR, NECK_ATTRIBUTES, WAIST

Box = tuple[float, float, float, float]
PAD = {name: 0.05 for name in NECK_ATTRIBUTES}  # u around a detail
HEM = 0.3  # u above and below a hem, where the length is


@dataclass(frozen=True)
class Rendering:
    """An image, uint8 (size, size, 3), its labels, and the box of each visible part in pixels."""

    pixels: np.ndarray
    labels: dict[str, int]
    boxes: dict[str, Box]
    quality: int  # JPEG


def streams(seed: int, index: int) -> tuple[np.random.Generator, ...]:
    """Return the independent random streams of image `index`: outfit, scene, recording."""
    sequences = np.random.SeedSequence(seed, spawn_key=(index,)).spawn(3)
    return tuple(np.random.default_rng(sequence) for sequence in sequences)


def sample(seed: int, index: int) -> tuple[Outfit, Scene]:
    """Sample image `index` without drawing it."""
    outfit_rng, scene_rng, _ = streams(seed, index)
    outfit = sample_outfit(outfit_rng)
    return outfit, sample_scene(scene_rng, outfit)


def _box(matrix: skia.Matrix, paths: list[skia.Path], pad: float, limit: Box) -> Box | None:
    """Return the bounds of paths in pixels, clipped to `limit`; None when nothing is left."""
    whole = skia.Rect.MakeEmpty()
    for path in paths:
        shape = skia.Path()
        path.transform(matrix, shape)
        grow = matrix.mapRadius(pad)
        bounds = shape.computeTightBounds().makeOutset(grow, grow)
        whole.join(bounds)
    if not whole.intersect(skia.Rect.MakeLTRB(*limit)):
        return None
    return whole.left(), whole.top(), whole.right(), whole.bottom()


def draw_clothes(brush: Brush, outfit: Outfit, scene: Scene) -> dict[str, list[skia.Path]]:
    """Draw the garments from the body outwards; return the paths of each attribute's part."""
    parts: dict[str, list[skia.Path]] = {}
    coat, labelled = outfit.coat_hem > 0, bool(outfit.neck[0])
    neck_attribute, neck_value = outfit.neck
    dress = outfit.kind == "dress"
    limp = outfit.support in ("form", "hanger")
    sleeved = outfit.sleeve_end > 0

    if not limp:
        for side in (-1, 1):
            body.draw_arm(brush, scene, side, fore=False)
    if outfit.support == "hanger" and labelled:
        tops.draw_lining(brush, scene, scene.upper)
    fabric = scene.upper if dress else scene.lower
    if outfit.skirt_hem > 0:
        parts["skirt_length"] = [lowers.draw_skirt(brush, scene, fabric, outfit.skirt_hem)]
    elif outfit.trouser_hem > 0:
        parts["pant_length"] = [lowers.draw_trousers(brush, scene, fabric, outfit.trouser_hem)]

    low = 0.0
    if coat or (not labelled and outfit.support != "hanger"):
        neck = plain_neckline(0.32 if coat else 0.2)
        tops.draw_bodice(brush, scene, scene.inner, neck, sleeved=False, hem=WAIST + 0.05)
    if coat:
        value = neck_value if neck_attribute == "lapel_design" else 0
        low = lapels.lapel_opening(brush, value, outfit.coat_hem)
        path = tops.draw_coat(
            brush, scene, scene.upper, opening=low, hem=outfit.coat_hem, sleeved=sleeved
        )
        parts["coat_length"] = [path]
    elif labelled:
        neck = make_neckline(brush, outfit, scene)
        hem = WAIST + 0.06 if dress or scene.tucked else brush.random.uniform(2.1, 2.4)
        tops.draw_bodice(brush, scene, scene.upper, neck, sleeved=sleeved, hem=hem)
    if "belt" in scene.extras and labelled and (dress or outfit.coat_hem > 2.5):
        tops.draw_belt(brush, scene, scene.inner)
    if not limp:
        for side in (-1, 1):
            body.draw_arm(brush, scene, side, fore=True)
    if labelled:
        draw_sleeves(brush, outfit, scene, scene.upper)
        parts["sleeve_length"] = around_cuffs(outfit, scene)
    if neck_value == 0:
        return parts
    if neck_attribute == "collar_design":
        drawn = collars.draw_collar(brush, scene, scene.upper, neck_value)
    elif neck_attribute == "lapel_design":
        drawn = lapels.draw_lapel(brush, scene, scene.upper, neck_value, low)
    elif neck_attribute == "neck_design":
        drawn = necks.draw_neck(brush, scene, scene.upper, neck_value)
    else:
        drawn = draw_neckline(brush, outfit, scene, scene.upper, neck)
    parts[neck_attribute] = drawn
    return parts


def render(seed: int, index: int, size: int = 320) -> Rendering:
    """Render image `index` of the dataset with `seed` at `size` pixels a side."""
    outfit, scene = sample(seed, index)
    *_, recording = streams(seed, index)
    matrix = camera.frame(outfit, scene, size)
    pixels = np.zeros((size, size, 4), np.uint8)
    canvas = skia.Surface(pixels).getCanvas()
    horizon = matrix.mapXY(0.0, scene.warp(0.0, FLOOR - 0.35)[1]).y()
    if outfit.support != "hanger" or horizon < size:
        draw_background(canvas, scene, horizon, size)
    canvas.save()
    canvas.concat(matrix)
    brush = Brush(canvas, random.Random(scene.seed))
    occluders.draw_behind(brush, scene)
    head.draw_hair_behind(brush, outfit, scene)
    body.draw_support(brush, outfit, scene)
    head.draw_head(brush, outfit, scene)
    parts = draw_clothes(brush, outfit, scene)
    head.draw_hair_front(brush, outfit, scene)
    occluders.draw_occluders(brush, outfit, scene)
    canvas.restore()
    camera.draw_light(canvas, scene, size)

    limit = (0.0, 0.0, float(size), float(size))
    if outfit.hidden.get("sleeve_length") == "panels":
        inner = [
            matrix.mapXY(float(x), y).x() for x in occluders.panel_edges(scene) for y in (0, 4)
        ]
        limit = (max(0.0, min(inner)), 0.0, min(float(size), max(inner)), float(size))
    hems = {"skirt_length": outfit.skirt_hem, "pant_length": outfit.trouser_hem}
    hems["coat_length"] = outfit.coat_hem
    boxes = {}
    for name, value in outfit.labels.items():
        if value > 0 and name in hems:
            y = scene.warp(0.0, hems[name])[1]
            parts[name] = [_around_hem(path, y) for path in parts[name]]
        elif value > 0 and name == "sleeve_length":  # a raised arm may end outside the frame
            parts[name] = [max(parts[name], key=lambda path: _shown(matrix, path, limit))]
        box = _box(matrix, parts[name], PAD.get(name, 0.0), limit) if value > 0 else None
        if box is not None:
            boxes[name] = box
    recorded = camera.develop(pixels, scene, recording)
    return Rendering(recorded, dict(outfit.labels), boxes, scene.camera.quality)


def _shown(matrix: skia.Matrix, path: skia.Path, limit: Box) -> bool:
    """Return whether the middle of a path lies inside the frame."""
    bounds = path.computeTightBounds()
    middle = matrix.mapXY(bounds.centerX(), bounds.centerY())
    return skia.Rect.MakeLTRB(*limit).contains(middle.x(), middle.y())


def _around_hem(path: skia.Path, y: float) -> skia.Path:
    """Return a rectangle as wide as a garment is just above its hem at `y`, and half below it."""
    box, band = path.computeTightBounds(), skia.Path()
    band.addRect(skia.Rect.MakeLTRB(box.left(), y - HEM, box.right(), y))
    cut = skia.Op(path, band, skia.PathOp.kIntersect_PathOp).computeTightBounds()
    around = skia.Path()
    around.addRect(skia.Rect.MakeLTRB(cut.left(), y - HEM, cut.right(), y + HEM))
    return around
