"""Sleeves along the arms, from cap to past the fingertips."""

from __future__ import annotations

import skia

from data_prep.garments.body import ARM, arm_line
from data_prep.garments.cloth import Brush, creases, edge_colour
from data_prep.garments.fabric import Fabric
from data_prep.garments.limb import interpolate, linspace, resample, tube
from data_prep.garments.outfit import OFF_SHOULDER, ONE_SHOULDER, Outfit
from data_prep.garments.scene import Scene

WIDTHS = (0.0, 0.3, 0.6, 1.0, 1.4), (0.19, 0.17, 0.155, 0.13, 0.14)  # u at shares of the arm
CAP_END = 0.2  # sleeves that end before this share of the arm are caps
FINGERTIPS = 1.18  # as a share of the arm
CUFF = 0.2  # share of the arm before and after a sleeve's end, where its length is


def one_shoulder_side(scene: Scene) -> int:
    """Return the covered side (-1 or 1) of a one-shoulder garment."""
    return 1 if scene.seed % 2 else -1


def neckline_value(outfit: Outfit) -> int:
    """Return the drawn neckline value, 0 when the garment has another neck construction."""
    return outfit.neck[1] if outfit.neck[0] == "neckline_design" else 0


def sleeved_sides(outfit: Outfit, scene: Scene) -> tuple[int, ...]:
    """Return the sides that the garment covers at the shoulder."""
    if neckline_value(outfit) == ONE_SHOULDER:
        return (one_shoulder_side(scene),)
    return (-1, 1)


def _sleeve(brush: Brush, outfit: Outfit, scene: Scene, side: int, fabric: Fabric) -> skia.Path:
    line, end = arm_line(scene, side), outfit.sleeve_end
    start = 0.2 if neckline_value(outfit) == OFF_SHOULDER else 0.0
    points = resample(line, start * ARM, end * ARM, 16)
    loose = scene.sleeve_ease
    if end < CAP_END:
        widths = linspace(0.19, 0.27, 16)
        points = [(x + side * 0.004 * k, y) for k, (x, y) in enumerate(points)]
    else:
        widths = [loose + interpolate(t, *WIDTHS) for t in linspace(start, end, 16)]
        widths[:2] = [0.19 + 0.4 * loose] * 2
    path = tube(points, widths, round_start=start == 0.0)
    brush.cloth(path, fabric, creases(brush.random, points, 0.2, 5 if end > 0.4 else 2))
    if end >= CAP_END:
        hem = resample(line, (end - 0.035) * ARM, end * ARM, 3)
        seam = skia.Path()
        (x, y), (x1, y1) = hem[0], hem[2]
        wide = widths[-1] / (0.035 * ARM)
        seam.moveTo(x - wide * (y1 - y), y + wide * (x1 - x))
        seam.lineTo(x + wide * (y1 - y), y - wide * (x1 - x))
        brush.line(seam, edge_colour(fabric, 0.6), 0.022)
    return path


def draw_sleeves(brush: Brush, outfit: Outfit, scene: Scene, fabric: Fabric) -> list[skia.Path]:
    """Draw the sleeves and return their outlines; none if the garment has none."""
    if outfit.sleeve_end == 0.0:
        return []
    return [_sleeve(brush, outfit, scene, side, fabric) for side in sleeved_sides(outfit, scene)]


def around_cuffs(outfit: Outfit, scene: Scene) -> list[skia.Path]:
    """Return the outlines of the arms around where their sleeves end, or of the shoulders.

    The one without a bag comes first, or else the one without a scarf over it. A sleeve that hides
    the hand may end outside the frame; its end counts as at the fingertips.
    """
    side = -scene.prop_side if "bag" in scene.extras else scene.prop_side
    end = min(outfit.sleeve_end, FINGERTIPS)
    start, stop = (max((end + share) * ARM, 0.0) for share in (-CUFF, CUFF))
    return [
        tube(resample(arm_line(scene, each), start, stop, 5), [CUFF * ARM] * 5)
        for each in (side, -side)
        if each in sleeved_sides(outfit, scene)
    ]
