"""Draw a shape so that it looks like cloth or skin: pattern, round shading, folds, edges."""

from __future__ import annotations

import random
from dataclasses import dataclass

import skia

from data_prep.garments.fabric import Colour, Fabric, fabric_paint, shade
from data_prep.garments.pen import Point

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass
class Brush:
    """A canvas in body coordinates with the random numbers of the fine jitter."""

    canvas: skia.Canvas
    random: random.Random

    def fill(self, path: skia.Path, colour: int) -> None:
        """Fill a path with one colour."""
        self.canvas.drawPath(path, skia.Paint(Color=colour, AntiAlias=True))

    def line(self, path: skia.Path, colour: int, width: float) -> None:
        """Stroke a path; the width is in u."""
        style = skia.Paint.kStroke_Style
        paint = skia.Paint(Color=colour, AntiAlias=True, Style=style, StrokeWidth=width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        self.canvas.drawPath(path, paint)

    def soft(self, path: skia.Path, colour: int, width: float, blur: float) -> None:
        """Stroke a path softly: `blur` is the standard deviation in u."""
        style = skia.Paint.kStroke_Style
        paint = skia.Paint(Color=colour, AntiAlias=True, Style=style, StrokeWidth=width)
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        self.canvas.drawPath(path, paint)

    def round_shade(self, path: skia.Path, depth: float = 1.0) -> None:
        """Darken a shape towards its left and right edges, as a cylinder."""
        box = path.getBounds()
        stops = [shade(BLACK, 1, 0.30 * depth), 0, shade(WHITE, 1, 0.10 * depth), 0]
        stops.append(shade(BLACK, 1, 0.36 * depth))
        ends = [(box.left(), 0.0), (box.right(), 0.0)]
        shader = skia.GradientShader.MakeLinear(ends, stops, [0.0, 0.22, 0.42, 0.66, 1.0])
        self.canvas.drawPath(path, skia.Paint(Shader=shader, AntiAlias=True))

    def skin(self, path: skia.Path, colour: Colour) -> None:
        """Draw a part of the body."""
        self.fill(path, shade(colour, 1.0))
        self.round_shade(path, 0.6)
        self.line(path, shade(colour, 0.6, 0.55), 0.02)

    def cloth(
        self,
        path: skia.Path,
        fabric: Fabric,
        folds: skia.Path | None = None,
        *,
        depth: float = 1.0,
        edge: float = 0.026,
    ) -> None:
        """Draw a piece of garment: pattern, shading, soft folds inside it, and its edge."""
        self.canvas.drawPath(path, fabric_paint(fabric))
        self.round_shade(path, 0.75 * depth)
        if folds is not None:
            self.canvas.save()
            self.canvas.clipPath(path, doAntiAlias=True)
            self.soft(folds, shade(BLACK, 1, 0.34 * fabric.fold), 0.07, 0.05)
            self.canvas.translate(0.09, 0.02)
            self.line(folds, shade(WHITE, 1, 0.13 * fabric.fold), 0.05)
            self.canvas.restore()
        self.line(path, edge_colour(fabric), edge)

    def shadow(self, path: skia.Path, alpha: float = 0.35) -> None:
        """Draw the soft shadow that a piece casts on what lies under it."""
        self.soft(path, shade(BLACK, 1, alpha), 0.08, 0.05)


def edge_colour(fabric: Fabric, strength: float = 0.85) -> int:
    """Return the colour of a fabric's edges and seams: darker, or lighter on dark cloth."""
    factor = 0.45 if sum(fabric.colour) > 190 else 1.35
    return shade(fabric.colour, factor, strength)


def fold_lines(
    random_: random.Random, left: float, right: float, top: float, bottom: float, count: int
) -> skia.Path:
    """Return `count` wavy lines that run down a piece of cloth, spreading to its sides."""
    path = skia.Path()
    for k in range(count):
        t = (k + random_.uniform(0.2, 0.8)) / count
        x0 = left * 0.6 + (right - left) * 0.6 * t + (left + right) * 0.2
        x1 = left + (right - left) * t
        y0 = top + (bottom - top) * random_.uniform(0.0, 0.45)
        y1 = bottom - (bottom - top) * random_.uniform(0.0, 0.25)
        bend = random_.uniform(-0.08, 0.08)
        x_top = x0 + (x1 - x0) * (y0 - top) / (bottom - top)
        path.moveTo(x_top, y0)
        path.cubicTo(x_top + bend, y0 * 0.6 + y1 * 0.4, x1 - bend, y0 * 0.4 + y1 * 0.6, x1, y1)
    return path


def creases(random_: random.Random, line: list[Point], width: float, count: int) -> skia.Path:
    """Return short slanting creases across a tube along the polyline `line`."""
    path = skia.Path()
    for _ in range(count):
        k = random_.randrange(1, len(line) - 1)
        dx, dy = line[k + 1][0] - line[k - 1][0], line[k + 1][1] - line[k - 1][1]
        norm = max((dx * dx + dy * dy) ** 0.5, 1e-6)
        nx, ny = -dy / norm * width, dx / norm * width
        side = random_.choice((-1.0, 1.0))
        x, y = line[k]
        path.moveTo(x + side * nx, y + side * ny)
        path.quadTo(x + 0.4 * side * nx + dx * 0.4, y + dy * 0.4, x - 0.3 * side * nx, y + dy)
    return path
