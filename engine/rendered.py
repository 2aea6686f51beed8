"""What became of one spec, and how the passes of a picture that takes two are told as one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.pixels import Picture
from engine.vectors import PART_SEEN, Vector
from schemas.errors import ModelError, RenderError


@dataclass(frozen=True)
class Rendered:
    """What became of one spec: `pixels` uint8 [height, width, 3], or the `error` that kept it from being made.

    `timings` is this picture's share of its batch, in seconds, by stage; `row` of `batch_size` is where it was made.
    """

    digest: str
    pixels: Picture | None
    error: RenderError | ModelError | None
    timings: dict[str, float]
    batch_size: int
    row: int
    models: dict[str, str]
    device: str
    dtype: str
    notes: tuple[str, ...] = ()
    levers: dict[str, str] = field(default_factory=dict)
    """What may change its rounding: attention kernel, compiled or not, and what computed the denoiser."""
    vectors: dict[str, Vector] = field(default_factory=dict)
    """By kind (schemas/likeness.py), each [channels]; what could not be had is absent."""
    search_model: str = ""
    """Digest of the model that computed the vector for searching."""


def combine(first: Rendered, second: Rendered, *, digest: str) -> Rendered:
    """Two passes as the one picture of `digest`: the second's result, each stage's seconds summed over both passes,
    and each note once. Vectors are the first's, which saw the whole picture at the size that the model knows."""
    stages = dict.fromkeys([*first.timings, *second.timings])
    timings = {stage: first.timings.get(stage, 0.0) + second.timings.get(stage, 0.0) for stage in stages}
    notes = tuple(note for note in dict.fromkeys(first.notes + second.notes) if note != PART_SEEN or not first.vectors)
    return replace(second, digest=digest, timings=timings, notes=notes, vectors=first.vectors or second.vectors)
