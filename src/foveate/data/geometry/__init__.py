"""Plane figures with the dictionary of their strokes, after Slow Perception.

sketch.py          points, strokes and marks in the plane
constructions.py   figures as textbooks draw them: polygons.py, circles.py and lines of its own
painting.py        a sketch in pixels
answer.py          the dictionary on the grid from 0 to 999
maker.py           all of it as samples
"""

from foveate.data.geometry.maker import GeometryMaker

__all__ = ["GeometryMaker"]
