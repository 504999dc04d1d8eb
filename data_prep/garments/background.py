"""Backgrounds, drawn in pixels behind the figure."""

from __future__ import annotations

import random

import skia

from data_prep.garments.fabric import shade
from data_prep.garments.scene import Scene


def _rect(canvas: skia.Canvas, x: float, y: float, w: float, h: float, colour: int) -> None:
    canvas.drawRect(skia.Rect.MakeXYWH(x, y, w, h), skia.Paint(Color=colour, AntiAlias=True))


def _any(draw: random.Random, scene: Scene) -> tuple[int, int, int]:
    """Return a colour of the wall's kind: what stands behind recedes behind the garment."""
    grey = draw.randint(-38, 38)
    return tuple(min(max(c + grey + draw.randint(-14, 14), 0), 255) for c in scene.wall)


def _brick(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    w, h = draw.randint(22, 40), draw.randint(10, 18)
    for row in range(size // h + 1):
        for column in range(-1, size // w + 1):
            colour = shade(scene.wall, draw.uniform(0.78, 1.0))
            _rect(canvas, column * w + row % 2 * w / 2, row * h, w - 2, h - 2, colour)


def _planks(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    x = 0
    while x < size:
        width = draw.randint(18, 44)
        _rect(canvas, x, 0, width - 2, size, shade(scene.wall, draw.uniform(0.8, 1.12)))
        x += width


def _shelves(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    step = draw.randint(44, 70)
    for y in range(draw.randint(20, 50), size, step):
        x = draw.randint(-10, 10)
        while x < size:
            w, h = draw.randint(8, 30), draw.randint(12, step - 12)
            _rect(canvas, x, y - h, w, h, shade(_any(draw, scene), 1.0))
            x += w + draw.choice((1, 2, 14))
        _rect(canvas, 0, y, size, 4, shade(scene.wall, 0.55))


def _street(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    x = draw.randint(-20, 0)
    while x < size:
        w, top = draw.randint(46, 110), draw.randint(-20, 110)
        _rect(canvas, x, top, w, size, shade(_any(draw, scene), 1.0))
        lit = shade(_any(draw, scene), 1.0)
        for wy in range(top + 12, size, 26):
            for wx in range(x + 8, x + w - 10, 20):
                _rect(canvas, wx, wy, 10, 14, lit)
        x += w


def _foliage(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    for _ in range(70):
        r, g, b = _any(draw, scene)
        colour = r, min(g + 14, 255), b
        paint = skia.Paint(Color=shade(colour, draw.uniform(0.5, 1.1), 0.75), AntiAlias=True)
        canvas.drawCircle(draw.uniform(0, size), draw.uniform(0, size), draw.uniform(8, 30), paint)


def _rack(canvas: skia.Canvas, draw: random.Random, scene: Scene, size: int) -> None:
    y = draw.randint(30, 80)
    _rect(canvas, 0, y, size, 4, shade((90, 90, 95), 1.0))
    x = draw.randint(-20, 10)
    while x < size:
        w, h = draw.randint(16, 44), draw.randint(70, 190)
        path = skia.Path()
        path.moveTo(x + w * 0.4, y + 6)
        path.lineTo(x + w * 0.6, y + 6)
        path.quadTo(x + w, y + 12, x + w, y + 24)
        path.lineTo(x + w * 1.05, y + h)
        path.lineTo(x - w * 0.05, y + h)
        path.lineTo(x, y + 24)
        path.quadTo(x, y + 12, x + w * 0.4, y + 6)
        canvas.drawPath(path, skia.Paint(Color=shade(_any(draw, scene), 1.0), AntiAlias=True))
        x += w + draw.randint(0, 26)


def draw_background(canvas: skia.Canvas, scene: Scene, horizon: float, size: int) -> None:
    """Draw wall and floor; `horizon` is the y of the line between them, all in pixels."""
    draw = random.Random(scene.seed + 1)
    canvas.clear(shade(scene.wall, 0.7 if scene.background in ("brick", "planks") else 1.0))
    if scene.background == "gradient":
        ends = [(draw.uniform(0, size), 0.0), (draw.uniform(0, size), float(size))]
        colours = [shade(scene.wall, 1.25), shade(scene.wall, 0.7)]
        shader = skia.GradientShader.MakeLinear(ends, colours)
        canvas.drawPaint(skia.Paint(Shader=shader))
    kinds = {"brick": _brick, "planks": _planks, "shelves": _shelves, "street": _street}
    kinds |= {"foliage": _foliage, "rack": _rack}
    if scene.background in kinds:
        kinds[scene.background](canvas, draw, scene, size)
    if scene.background != "plain" and horizon < size:
        _rect(canvas, 0, horizon, size, size, shade(scene.ground, 1.0))
        ends = [(0.0, horizon), (0.0, float(size))]
        shader = skia.GradientShader.MakeLinear(ends, [skia.Color(0, 0, 0, 90), 0])
        canvas.drawRect(skia.Rect.MakeLTRB(0, horizon, size, size), skia.Paint(Shader=shader))
    if "clutter" in scene.extras:
        for _ in range(draw.randint(2, 6)):
            w, h = draw.randint(10, 60), draw.randint(10, 60)
            x, y = (
                draw.choice((draw.randint(-20, 60), draw.randint(220, 300))),
                draw.randint(0, 260),
            )
            _rect(canvas, x, y, w, h, shade(_any(draw, scene), 1.0))
            _rect(canvas, x + 3, y + 3, max(w - 6, 1), max(h - 6, 1), shade(_any(draw, scene), 1.0))
