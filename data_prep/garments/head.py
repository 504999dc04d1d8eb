"""Head, face and hair."""

from __future__ import annotations

import skia

from data_prep.garments.cloth import Brush
from data_prep.garments.fabric import shade
from data_prep.garments.outfit import Outfit
from data_prep.garments.pen import both, mirrored
from data_prep.garments.scene import Scene
from data_prep.garments.values import CHIN, HEAD_TOP

EYES = CHIN - 0.5


def hides_neck(outfit: Outfit) -> bool:
    """Tell whether the hair is worn forward over both sides, so that it hides the neck part."""
    return "hair" in outfit.hidden.values()


def draw_hair_behind(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Draw the hair that falls behind the shoulders."""
    if outfit.support != "person":
        return
    style = "long" if hides_neck(outfit) else scene.hair_style
    low = {"short": CHIN - 0.25, "bob": CHIN + 0.12, "bun": CHIN - 0.3}.get(style, 1.1)
    wide = 0.62 if low > 0 else 0.52
    half = [(0.5, HEAD_TOP - 0.1, 0.6, CHIN - 0.4, wide, low - 0.3), (wide, low, 0.0, low)]
    back = mirrored(scene.warp, (0.0, HEAD_TOP - 0.1), half)
    brush.fill(back, shade(scene.hair, 0.8))
    if style == "bun":
        x, y = scene.warp(0.0, HEAD_TOP - 0.12)
        brush.canvas.drawCircle(x, y, 0.24, skia.Paint(Color=shade(scene.hair, 1), AntiAlias=True))


def draw_head(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Draw the head of a person, or the blank head of a mannequin."""
    if outfit.support not in ("person", "mannequin"):
        return
    warp = scene.warp
    half = [(0.34, HEAD_TOP, 0.44, -1.2, 0.4, -0.95), (0.38, -0.6, 0.2, CHIN, 0.0, CHIN)]
    face = mirrored(warp, (0.0, HEAD_TOP), half)
    neck = skia.Path()
    neck.moveTo(*warp(-0.2, CHIN + 0.06))
    neck.quadTo(*warp(0.0, CHIN + 0.16), *warp(0.2, CHIN + 0.06))
    brush.soft(neck, shade(scene.skin, 0.5, 0.6), 0.08, 0.04)
    brush.skin(face, scene.skin)
    if outfit.support == "mannequin":
        return
    dark = shade(scene.skin, 0.28)
    for side in (-1, 1):
        x, y = warp(side * 0.16, EYES)
        brush.canvas.drawOval(
            skia.Rect.MakeLTRB(x - 0.06, y - 0.03, x + 0.06, y + 0.035),
            skia.Paint(Color=dark, AntiAlias=True),
        )
        brow = skia.Path()
        brow.moveTo(x - 0.09, y - 0.09)
        brow.quadTo(x, y - 0.14, x + 0.09, y - 0.09)
        brush.line(brow, shade(scene.hair, 0.9), 0.03)
        if "glasses" in scene.extras:
            rim = skia.Path()
            rim.addCircle(x, y, 0.12)
            brush.line(rim, shade((20, 20, 24), 1.0), 0.035)
    features = skia.Path()
    features.moveTo(*warp(0.02, EYES + 0.06))
    features.lineTo(*warp(0.05, EYES + 0.2))
    brush.line(features, shade(scene.skin, 0.65), 0.025)
    half = [(0.06, CHIN - 0.25, 0.13, CHIN - 0.19), (0.08, CHIN - 0.11, 0.0, CHIN - 0.11)]
    lips = mirrored(warp, (0.0, CHIN - 0.21), half)
    brush.fill(lips, shade((170, 60, 70), 0.9))
    fringe = [(0.5, HEAD_TOP - 0.1, 0.5, -1.1, 0.43, -0.75), (0.38, -1.25, 0.1, -1.3, 0.0, -1.3)]
    brush.fill(mirrored(warp, (0.0, HEAD_TOP - 0.1), fringe), shade(scene.hair, 1.0))


def draw_hair_front(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Draw the hair that falls in front: over both sides, or over one shoulder only."""
    if outfit.support != "person":
        return
    low = brush.random.uniform(1.5, 1.8)
    if hides_neck(outfit):
        locks = both(
            scene.warp,
            (0.16, -1.45),
            [
                (0.5, -1.3, 0.55, -0.6, 0.62, 0.0),
                (0.86, 0.5, 0.78, low - 0.3, 0.4, low),
                (0.15, low - 0.05, -0.06, low - 0.3, -0.04, 0.9),
                (-0.04, 0.3, -0.06, -0.1, 0.05, -0.22),
                (0.36, -0.3, 0.42, -0.9, 0.16, -1.45),
            ],
        )
    elif scene.hair_style == "side":
        locks = both(
            scene.warp,
            (0.2, -1.4),
            [
                (0.52, -1.3, 0.55, -0.6, 0.62, 0.0),
                (0.86, 0.5, 0.9, low - 0.7, 0.76, low - 0.4),
                (0.66, low - 0.6, 0.6, 0.4, 0.5, -0.05),
                (0.4, -0.3, 0.44, -0.9, 0.2, -1.4),
            ],
        )[(scene.prop_side + 1) // 2 :][:1]
    else:
        return
    for lock in locks:
        brush.fill(lock, shade(scene.hair, 1.0))
        box = lock.getBounds()
        strands = skia.Path()
        for _ in range(6):
            x = brush.random.uniform(box.left() + 0.1, box.right() - 0.1)
            strands.moveTo(x * 0.75, -0.4)
            strands.quadTo(x, 0.2, x * 0.9, box.bottom() - 0.1)
        brush.canvas.save()
        brush.canvas.clipPath(lock, doAntiAlias=True)
        brush.line(strands, shade(scene.hair, 1.22, 0.6), 0.035)
        brush.canvas.restore()
        brush.line(lock, shade(scene.hair, 0.55, 0.8), 0.025)
