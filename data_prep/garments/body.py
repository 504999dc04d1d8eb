"""What the clothes are shown on: a person, a mannequin, a dress form, or a hanger on a stand."""

from __future__ import annotations

import functools
import math

import skia

from data_prep.garments.cloth import Brush
from data_prep.garments.fabric import shade
from data_prep.garments.limb import interpolate, lengths, linspace, resample, rounded, tube
from data_prep.garments.outfit import Outfit
from data_prep.garments.pen import Point, Warp, both, mirrored, outline
from data_prep.garments.scene import Scene
from data_prep.garments.values import ANKLE, CHIN, FLOOR, SHOULDER

ARM = 2.3  # length from shoulder to wrist, u
# Half-widths (u) at shares of the way from hip to ankle and from shoulder to wrist.
LEG_WIDTHS = (0.0, 0.48, 0.56, 0.7, 1.0), (0.36, 0.21, 0.19, 0.2, 0.1)
ARM_WIDTHS = (0.0, 0.3, 0.5, 0.65, 1.0), (0.165, 0.15, 0.125, 0.13, 0.085)
STEEL = (120, 120, 124)


def arm_line(scene: Scene, side: int) -> list[Point]:
    """Return the middle line of an arm from shoulder to fingertips; side is -1 or 1."""
    return _arm_line(scene.warp, scene.arms[(side + 1) // 2], side)


@functools.lru_cache(maxsize=8)
def _arm_line(warp: Warp, angles: tuple[float, float], side: int) -> list[Point]:
    upper, fore = (math.radians(a) for a in angles)
    corners = [(side * 0.77, SHOULDER + 0.06)]
    for angle, length in ((upper, 1.2), (fore, ARM - 1.2), (fore, 0.18 * ARM)):
        x, y = corners[-1]
        corners.append((x + side * math.sin(angle) * length, y + math.cos(angle) * length))
    return rounded([warp(*c) for c in corners], bend=0.2)


def leg_line(scene: Scene, side: int) -> list[Point]:
    """Return hip, knee and ankle of a leg in standard body coordinates."""
    lean = math.tan(math.radians(scene.stance[(side + 1) // 2]))
    return [(side * (0.37 + lean * (y - 2.6)), y) for y in (2.5, 4.2, ANKLE)]


def leg_middle(scene: Scene, side: int, y: float) -> float:
    """Return the x of a leg's middle at height y."""
    points = leg_line(scene, side)
    return interpolate(y, [p[1] for p in points], [p[0] for p in points])


def draw_legs(brush: Brush, scene: Scene, *, shoes: bool) -> None:
    """Draw both legs and, on a person, shoes."""
    for side in (-1, 1):
        line = [scene.warp(*p) for p in leg_line(scene, side)]
        points = resample(line, 0.0, lengths(line)[-1], 12)
        widths = [scene.warp.width * interpolate(t, *LEG_WIDTHS) for t in linspace(0, 1, 12)]
        brush.skin(tube(points, widths), scene.skin)
        x = leg_middle(scene, side, ANKLE)
        toe = x + side * 0.12
        foot = outline(
            scene.warp,
            (x - 0.12, ANKLE - 0.04),
            [
                (x + 0.12, ANKLE - 0.04),
                (toe + 0.1, FLOOR - 0.16, toe + 0.2, FLOOR),
                (toe, FLOOR + 0.08, toe - 0.26, FLOOR),
                (x - 0.16, FLOOR - 0.14, x - 0.12, ANKLE - 0.04),
            ],
        )
        if shoes:
            brush.fill(foot, shade(scene.extra.second, 0.7))
            brush.line(foot, shade(scene.extra.second, 0.3), 0.02)
        else:
            brush.skin(foot, scene.skin)


def draw_torso(brush: Brush, scene: Scene) -> None:
    """Draw neck, shoulders and trunk."""
    half = [
        (0.2, CHIN - 0.05),
        (0.2, -0.12, 0.24, -0.06, 0.5, 0.03),
        (0.8, 0.1, 0.9, 0.16, 0.92, 0.4),
        (0.8, 0.8),
        (0.7, 1.2, 0.52, 1.4, 0.54, 1.75),
        (0.6, 2.2, 0.78, 2.3, 0.76, 2.75),
        (0.0, 2.95),
    ]
    brush.skin(mirrored(scene.warp, (0.0, CHIN - 0.05), half), scene.skin)
    bones = skia.Path()
    for side in (-1, 1):
        bones.moveTo(*scene.warp(side * 0.1, 0.12))
        bones.quadTo(*scene.warp(side * 0.3, 0.05), *scene.warp(side * 0.52, 0.1))
    brush.line(bones, shade(scene.skin, 0.7, 0.6), 0.03)


def draw_arm(brush: Brush, scene: Scene, side: int, *, fore: bool) -> None:
    """Draw the bare upper arm, or the bare forearm with the hand."""
    line = arm_line(scene, side)
    start, stop = (0.5 * ARM, 1.0 * ARM) if fore else (0.0, 0.56 * ARM)
    widths = [interpolate(at / ARM, *ARM_WIDTHS) for at in linspace(start, stop, 12)]
    brush.skin(tube(resample(line, start, stop), widths, round_start=True), scene.skin)
    if fore:
        palm = resample(line, 0.98 * ARM, 1.18 * ARM, 6)
        brush.skin(tube(palm, (0.085, 0.12, 0.13, 0.11, 0.08, 0.03)), scene.skin)


def _stand(brush: Brush, scene: Scene, top: float) -> None:
    x, y = scene.warp(0.0, FLOOR)
    pole = outline(scene.warp, (-0.05, top), [(0.05, top), (0.05, FLOOR), (-0.05, FLOOR)])
    brush.fill(pole, shade(STEEL, 0.8))
    brush.canvas.drawOval(
        skia.Rect.MakeLTRB(x - 0.75, y - 0.12, x + 0.75, y + 0.12),
        skia.Paint(Color=shade(STEEL, 0.6), AntiAlias=True),
    )


def draw_support(brush: Brush, outfit: Outfit, scene: Scene) -> None:
    """Draw what carries the clothes, up to the neck and without the arms."""
    if outfit.support in ("person", "mannequin"):
        draw_legs(brush, scene, shoes=outfit.support == "person")
        draw_torso(brush, scene)
    elif outfit.support == "form":
        _stand(brush, scene, 2.5)
        draw_torso(brush, scene)
        x, y = scene.warp(0.0, CHIN - 0.05)
        cap = skia.Rect.MakeLTRB(x - 0.2, y - 0.07, x + 0.2, y + 0.07)
        brush.canvas.drawOval(cap, skia.Paint(Color=shade((90, 62, 40), 1.0), AntiAlias=True))
    else:
        _stand(brush, scene, -0.7)
        y = -0.12 if outfit.sleeve_end > 0 or outfit.neck[0] else 1.6
        bar = both(scene.warp, (0.0, y - 0.03), [(0.3, y, 0.75, y + 0.3), (0.0, y + 0.12)])
        for half in bar:
            brush.fill(half, shade((150, 110, 70), 1.0))
