"""Paths in body coordinates: smooth outlines and mirrored halves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from data_prep.garments.values import WAIST

Point = tuple[float, float]
# A segment continues the outline: (x, y) is a line, (cx, cy, x, y) a quadratic and
# (c1x, c1y, c2x, c2y, x, y) a cubic Bezier curve.
Segment = tuple[float, ...]


@dataclass(frozen=True)
class Warp:
    """Body shape and stance: moves a point of the standard body to the body that is drawn.

    `width` scales x, `legs` scales y below the waist, `turn` widens one side and narrows the
    other (a slight turn of the body), `sway` bends the axis, `lean` shears it.
    """

    width: float = 1.0
    legs: float = 1.0
    turn: float = 0.0
    sway: float = 0.0
    lean: float = 0.0

    def __call__(self, x: float, y: float) -> Point:
        """Return the drawn position (u) of the point (x, y) of the standard body."""
        x *= self.width * (1.0 + math.copysign(self.turn, x))
        x += self.sway * math.sin(1.05 * y) + self.lean * (WAIST - y)
        return x, y if y < WAIST else WAIST + (y - WAIST) * self.legs


def _pairs(segment: Segment) -> list[Point]:
    return [(segment[i], segment[i + 1]) for i in range(0, len(segment), 2)]


def _extend(path: skia.Path, points: list[Point]) -> None:
    flat = [c for point in points for c in point]
    (path.lineTo, path.quadTo, path.cubicTo)[len(points) - 1](*flat)


def outline(
    warp: Warp, start: Point, segments: Sequence[Segment], *, close: bool = True
) -> skia.Path:
    """Return the path that starts at `start` and follows `segments`."""
    path = skia.Path()
    path.moveTo(*warp(*start))
    for segment in segments:
        _extend(path, [warp(*point) for point in _pairs(segment)])
    if close:
        path.close()
    return path


def mirrored(
    warp: Warp, start: Point, segments: Sequence[Segment], *, close: bool = True
) -> skia.Path:
    """Return the symmetric outline whose right half runs from `start` along `segments`."""
    path = outline(warp, start, segments, close=False)
    ends = [start] + [_pairs(segment)[-1] for segment in segments]
    if ends[-1][0] != 0.0:
        path.lineTo(*warp(-ends[-1][0], ends[-1][1]))
    for segment, end in zip(reversed(segments), reversed(ends[:-1]), strict=True):
        points = [*reversed(_pairs(segment)[:-1]), end]
        _extend(path, [warp(-x, y) for x, y in points])
    if close:
        path.close()
    return path


def flipped(segments: Sequence[Segment], side: int = -1) -> list[Segment]:
    """Return the segments mirrored in the body's axis when `side` is -1, as they are when 1."""
    return [tuple(side * c if i % 2 == 0 else c for i, c in enumerate(s)) for s in segments]


def both(warp: Warp, start: Point, segments: Sequence[Segment]) -> list[skia.Path]:
    """Return the closed right-hand outline and its mirror image."""
    return [outline(warp, start, segments), outline(warp, (-start[0], start[1]), flipped(segments))]
