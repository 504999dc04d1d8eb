"""Boards, boxes, plants, bags and counters: beside the figure, or in front of parts they hide."""

from __future__ import annotations

import random

import skia

from data_prep.garments.cloth import Brush
from data_prep.garments.fabric import Fabric, fabric_paint, shade


def _rect(left: float, top: float, right: float, bottom: float) -> skia.Path:
    path = skia.Path()
    path.addRect(skia.Rect.MakeLTRB(left, top, right, bottom))
    return path


def _leaves(brush: Brush, fabric: Fabric, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    draw = random.Random(fabric.seed)
    brush.fill(_rect(left + 0.08, top + 0.15, right - 0.08, bottom), shade((34, 66, 34), 1.0))
    green = (draw.randint(30, 90), draw.randint(95, 150), draw.randint(35, 80))
    count = int(14 + 16 * (right - left))
    for k in range(count):
        x, y = draw.uniform(left, right), top + (bottom - top) * (k / count) ** 1.3
        leaf = skia.Path()
        dx, dy = draw.uniform(-0.35, 0.35), draw.uniform(0.25, 0.5)
        leaf.moveTo(x, y + dy)
        leaf.quadTo(x + dx - 0.15, y + 0.1, x + dx, y - 0.12)
        leaf.quadTo(x + dx + 0.2, y + 0.2, x, y + dy)
        brush.fill(leaf, shade(green, draw.uniform(0.6, 1.25)))


def draw_prop(
    brush: Brush, kind: str, fabric: Fabric, box: tuple[float, float, float, float]
) -> None:
    """Draw an object that fills the box (left, top, right, bottom) in u."""
    left, top, right, bottom = box
    body = _rect(*box)
    dark = shade(fabric.colour, 0.45, 0.9)
    if kind == "plant":
        _leaves(brush, fabric, box)
        return
    if kind == "board":
        brush.canvas.drawPath(body, fabric_paint(fabric))
        brush.line(body, dark, 0.08)
    elif kind == "bag":
        handle = skia.Path()
        handle.addOval(
            skia.Rect.MakeLTRB(
                left * 0.7 + right * 0.3, top - 0.4, left * 0.3 + right * 0.7, top + 0.5
            )
        )
        brush.line(handle, dark, 0.07)
        brush.canvas.drawPath(body, fabric_paint(fabric))
        brush.fill(_rect(left, top, right, top + 0.3), shade(fabric.second, 0.9))
    elif kind == "box":
        brush.fill(body, shade((188, 150, 104), 1.0))
        middle = (left + right) / 2
        brush.fill(_rect(middle - 0.14, top, middle + 0.14, bottom), shade((222, 200, 160), 1.0))
        brush.fill(_rect(left, top, right, top + 0.16), shade((150, 116, 76), 1.0))
    else:
        brush.fill(body, shade(fabric.colour, 0.9))
        brush.fill(_rect(left - 0.1, top, right + 0.1, top + 0.18), shade(fabric.second, 1.0))
        for k in range(1, 4):
            x = left + (right - left) * k / 4
            brush.fill(_rect(x - 0.02, top + 0.2, x + 0.02, bottom), dark)
    brush.round_shade(body, 0.6)
    brush.line(body, dark, 0.03)
