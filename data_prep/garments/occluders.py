"""Things worn or held over the garment: scarf, cape, shawl, bags, objects in front."""

from __future__ import annotations

import skia

from data_prep.garments import accessories
from data_prep.garments.cloth import Brush, fold_lines
from data_prep.garments.outfit import Outfit
from data_prep.garments.pen import both, mirrored, outline
from data_prep.garments.props import draw_prop
from data_prep.garments.scene import Scene
from data_prep.garments.values import CHIN, FLOOR, NECK_ATTRIBUTES, WAIST

PANEL_EDGE = 0.62  # half-width of the gap between two panels that hide both sleeves, u


def _scarf(brush: Brush, scene: Scene) -> None:
    """Wind a thick scarf around neck and chest: it hides collar, lapel, neckline or neck."""
    low, side = brush.random.uniform(1.35, 1.75), scene.prop_side
    tail = outline(
        scene.warp,
        (-0.5, 0.1),
        [(-0.66, 0.8, -0.5, low), (0.0, low + 0.12, 0.5, low - 0.1), (0.66, 0.7, 0.5, 0.1)],
    )
    brush.cloth(tail, scene.extra, fold_lines(brush.random, -0.5, 0.5, 0.3, low, 6))
    end = outline(
        scene.warp,
        (side * 0.1, 0.3),
        [(side * 0.15, low + 0.4), (side * 0.5, low + 0.36), (side * 0.52, 0.3)],
    )
    brush.shadow(end)
    brush.cloth(end, scene.extra, fold_lines(brush.random, side * 0.1, side * 0.5, 0.4, low, 3))
    for k, (y, wide) in enumerate(((0.16, 0.62), (-0.1, 0.5))):
        loop = mirrored(
            scene.warp,
            (0.0, y - 0.18),
            [(0.3, y - 0.2, 0.3, CHIN + 0.1 + 0.2 * (1 - k)), (wide + 0.05, -0.2, wide, y + 0.1)]
            + [(0.4, y + 0.42, 0.0, y + 0.42)],
        )
        creases = skia.Path()
        for d in (0.05, 0.18, 0.3):
            creases.moveTo(*scene.warp(-wide, y - 0.25 + d))
            creases.quadTo(*scene.warp(0.0, y + 0.1 + d), *scene.warp(wide, y - 0.25 + d))
        brush.shadow(loop)
        brush.cloth(loop, scene.extra, creases)


def _cape(brush: Brush, scene: Scene) -> None:
    """Drape a cape over both shoulders and arms; the front stays open."""
    low = 3.05 + brush.random.uniform(0.0, 0.12)
    half = [
        (0.5, 0.0, 0.98, -0.02, 1.1, 0.4),
        (1.3, 1.2, 1.5, 2.2, 1.52, low),
        (1.2, low + 0.1, 0.78, low),
        (0.7, 1.8, 0.72, 0.9, 0.6, 0.3),
        (0.54, 0.12, 0.36, -0.08),
    ]
    for cape in both(scene.warp, (0.36, -0.08), half):
        side = 1 if cape.getBounds().centerX() > 0 else -1
        folds = fold_lines(brush.random, side * 0.75, side * 1.45, 0.4, low, 6)
        brush.shadow(cape)
        brush.cloth(cape, scene.extra, folds)


def _panels(brush: Brush, scene: Scene) -> None:
    """Stand the figure between two objects that hide shoulders and arms."""
    edge = scene.warp(PANEL_EDGE, 1.0)[0], scene.warp(-PANEL_EDGE, 1.0)[0]
    bottom = FLOOR + 3.0
    kind = "board" if scene.prop in ("bag", "box") else scene.prop
    draw_prop(brush, kind, scene.extra, (edge[0], -0.75, 4.5, bottom))
    draw_prop(brush, kind, scene.extra, (-4.5, -0.75, edge[1], bottom))


def _object_in_front(brush: Brush, scene: Scene) -> None:
    """Stand an object in front of the legs, from the thighs to below the floor."""
    top = scene.warp(0.0, 3.1)[1] + brush.random.uniform(0.0, 0.3)
    wide = 1.75 + brush.random.uniform(0.0, 0.5)
    shift = brush.random.uniform(-0.15, 0.15)
    draw_prop(brush, scene.prop, scene.extra, (shift - wide, top, shift + wide, FLOOR + 0.35))


def draw_behind(brush: Brush, scene: Scene) -> None:
    """Draw the objects that stand beside and behind the figure and hide nothing."""
    if "prop" in scene.extras:
        x = scene.prop_side * brush.random.uniform(2.0, 3.0)
        wide, top = brush.random.uniform(0.5, 1.3), brush.random.uniform(0.5, 4.2)
        draw_prop(brush, scene.prop, scene.extra, (x - wide, top, x + wide, FLOOR - 0.1))


def draw_occluders(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Draw what hides parts of the outfit, and the decoys that hide nothing."""
    ways = outfit.hidden
    neck_shown = any(outfit.labels.get(attribute, 0) > 0 for attribute in NECK_ATTRIBUTES)
    body = outfit.support != "hanger"
    free_arms = "sleeve_length" not in ways and body
    if "shawl" in scene.extras and not outfit.coat_hem and body:
        accessories.draw_shawl_at_waist(brush, scene)
    if "crossbody" in scene.extras and free_arms and outfit.neck[0] != "neckline_design":
        accessories.draw_crossbody(brush, scene)
    above = outfit.neck[0] in ("neckline_design", "lapel_design")
    if "neckerchief" in scene.extras and above and neck_shown and body:
        accessories.draw_neckerchief(brush, scene)
    if ways.get("sleeve_length") == "cape":
        _cape(brush, scene)
    if "scarf" in {ways.get(attribute) for attribute in NECK_ATTRIBUTES}:
        _scarf(brush, scene)
    if free_arms and "scarf" in scene.extras:
        accessories.draw_scarf_on_arm(brush, scene)
    if free_arms and "bag" in scene.extras and outfit.support in ("person", "mannequin"):
        accessories.draw_bag(brush, outfit, scene)
    if ways.get("sleeve_length") == "panels":
        _panels(brush, scene)
    if "object" in ways.values():
        _object_in_front(brush, scene)


def panel_edges(scene: Scene) -> list[float]:
    """Return the x (u) of the inner edges of the two panels, left and right."""
    return [scene.warp(s * PANEL_EDGE, WAIST)[0] for s in (-1, 1)]
