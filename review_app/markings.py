"""What reviewers drew, over a picture in a page of Streamlit's: the same vectors as in the reviewing screen."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from math import atan2, cos, hypot, sin

from schemas.review import Drawing, Point, Shape

COLOUR, CASING = "#e11d48", "#fff"


def draw_markings(drawings: Sequence[Drawing], *, width: int, height: int) -> str:
    """HTML to lie over a picture of this size; empty where nothing was drawn. Words are escaped.

    Streamlit's HTML takes no SVG, but pictures that are SVG; nothing runs in those.
    """
    if not drawings:
        return ""
    drawn = "".join(_draw_one(one, width, height) for one in drawings)
    shape = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" preserveAspectRatio="none"'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" {shape} font-family="sans-serif">{drawn}</svg>'
    words = escape("; ".join(f"{one.shape}: {one.label or one.criterion or 'here'}" for one in drawings))
    data = b64encode(picture.encode()).decode()
    place = "position: absolute; left: 0; top: 0; width: 100%; height: 100%"
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{words}" style="{place}">'


def _draw_one(one: Drawing, width: int, height: int) -> str:
    thin, size = width * 0.006, width * 0.035
    x, y = one.x * width, one.y * height
    if one.shape is Shape.BOX:
        box = f'x="{x:.1f}" y="{y:.1f}" width="{one.width * width:.1f}" height="{one.height * height:.1f}"'
        looks = ((CASING, 2 * thin), (COLOUR, thin))
        lines = "".join(f'<rect {box} fill="none" stroke="{look}" stroke-width="{wide:.1f}"/>' for look, wide in looks)
    elif one.shape is Shape.BRUSH:
        thickness = one.thickness * width
        lines = "".join(_line(stroke, width, height, thickness, opacity=0.5) for stroke in one.strokes)
    else:
        (tail, head), *_ = one.strokes
        both = ((tail, head), _head(tail, head, width, height))
        looks = ((CASING, 2 * thin), (COLOUR, thin))
        lines = "".join(_line(line, width, height, wide, colour=look) for look, wide in looks for line in both)
    words = escape(one.label or str(one.criterion or ""))
    halo = f'paint-order="stroke" stroke="{CASING}" stroke-width="{size / 6:.1f}"'
    place = f'x="{x:.1f}" y="{max(size, y - thin):.1f}" font-size="{size:.1f}"'
    return f'{lines}<text {place} fill="{COLOUR}" {halo}>{words}</text>'


def _line(
    points: Iterable[Point], width: int, height: int, thickness: float, *, colour: str = COLOUR, opacity: float = 1.0
) -> str:
    places = [f"{x * width:.1f},{y * height:.1f}" for x, y in points]
    places = places if len(places) > 1 else places * 2
    look = f'fill="none" stroke="{colour}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<polyline points="{" ".join(places)}" {look} stroke-opacity="{opacity}" stroke-width="{thickness:.1f}"/>'


def _head(tail: Point, head: Point, width: int, height: int) -> tuple[Point, Point, Point]:
    """Two short lines at an arrow's head."""
    along, down = (head[0] - tail[0]) * width, (head[1] - tail[1]) * height
    angle, length = atan2(down, along), min(width * 0.05, hypot(along, down) / 2)

    def side(turn: float) -> Point:
        return head[0] - length * cos(angle + turn) / width, head[1] - length * sin(angle + turn) / height

    return side(0.5), head, side(-0.5)
