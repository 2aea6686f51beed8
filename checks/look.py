"""How alike two pictures look: colours and textures of the subject, as one list of numbers a picture.

A set of pictures that stand for a look (a project's approved images, the brand's references) says how far apart its own
members are, and a new picture is measured against that (checks/brand.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = (4, 5, 5)
"""Of lightness, green to red, blue to yellow (CIELAB)."""
SIDE = 192
"""px of the longer side at which textures are measured, so that size does not count."""
SCALES = np.array([15.0, 15.0, 12.0, 12.0, 0.15, 0.2, 0.06, 0.2])
"""Of the eight numbers of a texture: what is much."""
ENOUGH = 20
"""Pictures of a set, below which its own spread says nothing."""

Look = tuple[float, ...]


@dataclass(frozen=True)
class Likeness:
    """`distance`: to the nearest picture of a set, 0 to about 1. `share`: of the set's pictures whose own nearest
    neighbour is nearer than that. `nearest`: the names of the nearest, at most three."""

    distance: float
    share: float
    nearest: tuple[str, ...]
    count: int
    spread: float
    """The largest distance of one of the set's pictures to its own nearest neighbour."""


def measure_look(pixels: NDArray[np.uint8], lab: NDArray[np.float64], mask: NDArray[np.bool_]) -> Look:
    """pixels: uint8 [height, width, 3]. lab, mask: CIELAB of a grid of its pixels, and which are the subject's.

    The first hundred numbers are square roots of the shares of colours (so that their distance is Hellinger's), the
    last eight what a texture is, in SCALES.
    """
    colours = lab[mask]
    low, high = np.array([0.0, -60.0, -60.0]), np.array([100.0, 60.0, 60.0])
    places = ((colours - low) / (high - low) * BINS).astype(int).clip(0, np.array(BINS) - 1)
    shares = np.bincount(np.ravel_multi_index(tuple(places.T), BINS), minlength=int(np.prod(BINS))) / len(colours)
    return tuple(np.round([*np.sqrt(shares), *_measure_texture(pixels, colours) / SCALES], 3).tolist())


def _measure_texture(pixels: NDArray[np.uint8], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread of lightness and of chroma; strength of edges, fine and coarse; shares of edges, of flat places, of dark
    lines, and how many edges go straight up or across."""
    chroma = np.hypot(colours[:, 1], colours[:, 2])
    factor = SIDE / max(pixels.shape[:2])
    size = (max(8, round(pixels.shape[1] * factor)), max(8, round(pixels.shape[0] * factor)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = [cv2.Sobel(grey, cv2.CV_32F, dx, dy, ksize=3, scale=1 / 8) for dx, dy in ((1, 0), (0, 1))]
    slope = np.hypot(*fine)
    smooth = cv2.GaussianBlur(grey, (0, 0), 4.0)
    coarse = np.hypot(*np.gradient(smooth))
    edges = slope > 8
    straight = np.minimum(abs(fine[0]), abs(fine[1])) < 0.2 * slope
    return np.array(
        [
            colours[:, 0].std(), chroma.std(), slope.mean(), coarse.mean() * 8,
            edges.mean(), (slope < 0.5).mean(), (grey < 40).mean(), (straight & edges).sum() / max(1, edges.sum()),
        ]
    )  # fmt: skip


def measure_distances(one: Look, others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of it Hellinger's distance of colours, 0 to 1, half the distance of textures."""
    count = int(np.prod(BINS))
    away = others - np.asarray(one)
    colour = np.linalg.norm(away[:, :count], axis=1) / np.sqrt(2)
    texture = np.sqrt((away[:, count:] ** 2).mean(axis=1))
    found: NDArray[np.float64] = 0.5 * colour + 0.5 * texture
    return found


class LookSet:
    """Pictures that stand for a look, by name: an image's digest, or a reference's path."""

    def __init__(self, looks: Mapping[str, Look]) -> None:
        self.looks = dict(looks)

    @cached_property
    def _array(self) -> NDArray[np.float64]:
        return np.asarray(list(self.looks.values()), float)

    @cached_property
    def _own(self) -> NDArray[np.float64]:
        """Of each, the distance to its nearest neighbour; 0 is each to itself."""
        return np.array([np.partition(measure_distances(one, self._array), 1)[1] for one in self.looks.values()])

    def without(self, name: str) -> LookSet:
        return LookSet({one: look for one, look in self.looks.items() if one != name}) if name in self.looks else self

    def compare(self, look: Look) -> Likeness | None:
        """None where there are too few to compare with."""
        if len(self.looks) < ENOUGH:
            return None
        names, distances = list(self.looks), measure_distances(look, self._array)
        order = np.argsort(distances, kind="stable")[:3]
        nearest = float(distances[order[0]])
        share = float(np.mean(self._own < nearest))
        spread = float(self._own.max())
        return Likeness(round(nearest, 4), share, tuple(names[number] for number in order), len(names), spread)
