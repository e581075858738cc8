"""A painted chart, and where its marks stand in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from foveate.data.charts.marks import Bar, Dots, Drawing, Place, Wedge
from foveate.data.sample import Region
from foveate.document import Box


@dataclass(frozen=True, eq=False)
class Picture:
    """RGB pixels, and the rectangle inside the axes in pixels of the image."""

    image: Image.Image
    plot: Box


def regions(drawing: Drawing, plot: Box) -> tuple[Region, ...]:
    """The plot, then every bar, dot and wedge with the number that it shows."""
    found = [Region("plot", plot)]
    for mark in drawing.marks:
        if isinstance(mark, Bar):
            found.append(Region("bar", _around(drawing, plot, [mark.start, mark.end]), mark.text))
        elif isinstance(mark, Dots):
            half = mark.size / 2
            for place, text in zip(mark.places, mark.texts, strict=True):
                x, y = to_pixels(drawing, plot, place, mark.second)
                found.append(Region("point", Box(x - half, y - half, x + half, y + half), text))
        elif isinstance(mark, Wedge):
            found.append(Region("wedge", _around(drawing, plot, _rim(mark)), mark.text))
    return tuple(found)


def to_pixels(drawing: Drawing, plot: Box, place: Place, second: bool = False) -> Place:
    """Pixels of a place in the units of the axes."""
    line_scale = drawing.chart.line_scale
    ends = (float(line_scale.low), float(line_scale.high)) if second and line_scale else drawing.values
    along = (place[0] - drawing.along[0]) / (drawing.along[1] - drawing.along[0])
    value = (place[1] - ends[0]) / (ends[1] - ends[0])
    if drawing.chart.horizontal:  # the first category at the top
        return plot.x0 + value * (plot.x1 - plot.x0), plot.y0 + along * (plot.y1 - plot.y0)
    return plot.x0 + along * (plot.x1 - plot.x0), plot.y1 - value * (plot.y1 - plot.y0)


def _rim(wedge: Wedge) -> list[Place]:
    angles = [wedge.start + (wedge.end - wedge.start) * n / 16 for n in range(17)]
    return [(r * math.sin(a), r * math.cos(a)) for a in angles for r in (wedge.hole, 1.0)]


def _around(drawing: Drawing, plot: Box, places: list[Place]) -> Box:
    xs, ys = zip(*(to_pixels(drawing, plot, place) for place in places), strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))
