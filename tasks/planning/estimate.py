"""What a manifest would make: images, batches, megabytes, GPU time. Pure; the history comes from the ledger."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.pace import PaceKey, make_pace_key
from schemas.spec import ImageSpec, Task

# Teraflop of SDXL at 1024x1024 (docs/engine.md counts them): a UNet forward, a ControlNet forward, VAE encode, decode.
UNET, CONTROLNET, ENCODE, DECODE = 6.76, 3.02, 4.88, 10.47
OVERLAPPING = 1.6
"""How much more windows of a second pass have to do for their overlaps: 1.3 to 1.8, by the size."""
GUESSED_SPEED = 200.0
"""Teraflop a second that a guess supposes: about a quarter of an H100's."""
PNG_BYTES_PER_PIXEL = 1.9
"""A PNG of a photograph-like image with its preview and thumbnail."""


@dataclass(frozen=True)
class EstimateRow:
    """One asset of the table. `made` is None where it is not known."""

    asset: str
    kind: str
    images: int
    sizes: tuple[str, ...]
    made: int | None
    batches: int
    megabytes: float
    gpu_seconds: float
    guessed: bool


def predict_times(spec: ImageSpec) -> int:
    """What the UNet is asked for in a step: with the prompt, without it for guidance, and perturbed for PAG."""
    return 1 + (spec.guidance_scale > 1) + (spec.pag_scale > 0)


def count_work(key: PaceKey, *, rows: int = 2) -> float:
    """Teraflop of one image, both passes of `hires` together, were the model SDXL. Of use as a ratio between images of
    one model. `rows`: predictions a step. Every step counts as computed whole: what an approximation saves is measured
    (`pace`), not guessed."""
    _, width, height, steps, task, controls, second, _ = key
    step = rows * (UNET + controls * CONTROLNET)
    source = ENCODE if task != Task.TXT2IMG.value else 0.0
    pixels = width * height / 1024**2
    if second is None:
        return (source + steps * step + DECODE) * pixels
    small, tall, more, tile = second
    again = OVERLAPPING if 0 < tile < max(width, height) else 1.0
    first = (source + steps * step + DECODE) * small * tall / 1024**2
    return first + (ENCODE + more * step * again + DECODE) * pixels


def predict_seconds(key: PaceKey, pace: Mapping[PaceKey, float], *, rows: int = 2) -> tuple[float, bool]:
    """GPU seconds of one image, and whether that is a guess.

    What was measured for the same kind of image; else what was measured for the same model, by the ratio of work;
    else the work at GUESSED_SPEED.
    """
    if key in pace:
        return pace[key], False
    if key[4] == Task.IMPORT.value:
        return 0.0, False
    exact = ((other, seconds) for other, seconds in pace.items() if other[-1] is None)
    speeds = [count_work(other) / seconds for other, seconds in exact if other[0] == key[0] and seconds > 0]
    return count_work(key, rows=rows) / (statistics.median(speeds) if speeds else GUESSED_SPEED), True


def make_table(
    specs: Iterable[ImageSpec],
    *,
    pace: Mapping[PaceKey, float],
    made: set[str] | None,
    batch_size: int,
    counts: Mapping[str, int] | None = None,
) -> list[EstimateRow]:
    """A row per asset, in the order of the specs. Batches that assets share are counted where they fill up.

    `made`: digests that exist; None when that is not known. `counts`: images by asset, when `specs` is only a sample.
    """
    groups: dict[str, list[ImageSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.asset, []).append(spec)
    rows = []
    filled: dict[str, float] = {}
    for asset, asked in groups.items():
        images = counts[asset] if counts else len(asked)
        each = images / len(asked)
        left = [spec for spec in asked if made is None or spec.digest not in made]
        batches = 0
        for key, many in Counter(spec.batch_key for spec in left).items():
            before = filled.get(key, 0.0)
            filled[key] = before + many * each
            batches += math.ceil(filled[key] / batch_size) - math.ceil(before / batch_size)
        kinds = Counter((make_pace_key(spec), predict_times(spec)) for spec in left)
        times = [(many * each, *predict_seconds(key, pace, rows=asked_for)) for (key, asked_for), many in kinds.items()]
        rows.append(
            EstimateRow(
                asset=asset,
                kind=asked[0].kind.value,
                images=images,
                sizes=tuple(sorted({f"{spec.width}x{spec.height}" for spec in asked})),
                made=None if made is None else len(asked) - len(left),
                batches=batches,
                megabytes=sum(spec.width * spec.height for spec in left) * each * PNG_BYTES_PER_PIXEL / 1e6,
                gpu_seconds=sum(many * seconds for many, seconds, _ in times),
                guessed=any(guess for *_, guess in times),
            )
        )
    return rows
