"""Polylines with a width: arms, legs and sleeves.

Plain Python: the lines have about 16 points, too few for NumPy to pay.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import skia

from data_prep.garments.pen import Point


def linspace(start: float, stop: float, count: int) -> list[float]:
    """Return `count` evenly spaced numbers from `start` to `stop`."""
    return [start + (stop - start) * k / (count - 1) for k in range(count)]


def interpolate(at: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the piecewise linear function through (xs, ys) at `at`, constant outside."""
    if at <= xs[0]:
        return ys[0]
    if at >= xs[-1]:
        return ys[-1]
    k = bisect_right(xs, at)
    return ys[k - 1] + (ys[k] - ys[k - 1]) * (at - xs[k - 1]) / (xs[k] - xs[k - 1])


def lengths(line: Sequence[Point]) -> list[float]:
    """Return the arc length from the start of a polyline to each of its points."""
    steps = (math.dist(a, b) for a, b in zip(line[:-1], line[1:], strict=True))
    return list(accumulate(steps, initial=0.0))


def resample(line: Sequence[Point], start: float, stop: float, count: int = 12) -> list[Point]:
    """Return `count` points of a polyline between two arc lengths (u).

    Arc lengths past the end continue straight on.
    """
    where, xs, ys = lengths(line), [p[0] for p in line], [p[1] for p in line]
    (x0, y0), (x1, y1) = line[-2], line[-1]
    last, points = where[-1] - where[-2], []
    for at in linspace(start, stop, count):
        beyond = max(at - where[-1], 0.0) / last
        x, y = interpolate(at, where, xs), interpolate(at, where, ys)
        points.append((x + beyond * (x1 - x0), y + beyond * (y1 - y0)))
    return points


def rounded(corners: Sequence[Point], bend: float) -> list[Point]:
    """Return the polyline through `corners`, rounded off from a share `bend` of each side."""
    points = [corners[0]]
    for before, at, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        ax, ay = at[0] + (before[0] - at[0]) * bend, at[1] + (before[1] - at[1]) * bend
        bx, by = at[0] + (after[0] - at[0]) * bend, at[1] + (after[1] - at[1]) * bend
        for t in linspace(0.0, 1.0, 6):
            a, m, b = (1 - t) ** 2, 2 * t * (1 - t), t * t
            points.append((a * ax + m * at[0] + b * bx, a * ay + m * at[1] + b * by))
    return [*points, corners[-1]]


def tube(line: Sequence[Point], widths: Sequence[float], *, round_start: bool = False) -> skia.Path:
    """Return the outline of a limb: `widths` are the half-widths at the points of `line`."""
    left, right, last = [], [], len(line) - 1
    for k, ((x, y), width) in enumerate(zip(line, widths, strict=True)):
        a, b = line[max(k - 1, 0)], line[min(k + 1, last)]
        dx, dy = b[0] - a[0], b[1] - a[1]
        norm = width / max(math.hypot(dx, dy), 1e-9)
        left.append((x - dy * norm, y + dx * norm))
        right.append((x + dy * norm, y - dx * norm))
    outline = left + right[::-1]
    if round_start:
        x, y = line[0]
        nx, ny = left[0][0] - x, left[0][1] - y  # the normal; (-ny, nx) points backwards
        for angle in linspace(0.0, math.pi, 7)[1:-1]:
            c, s = math.cos(angle), math.sin(angle)
            outline.append((x - c * nx - s * ny, y - c * ny + s * nx))
    path = skia.Path()
    path.moveTo(*outline[0])
    for point in outline[1:]:
        path.lineTo(*point)
    path.close()
    return path
