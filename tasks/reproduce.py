"""An image made again from its record alone, and how far it is from the one that was kept.

The batch's size, the row, the backend and the precision are in the record, because another forward pass may round
otherwise: the spec is rendered as often as the batch had rows, as it was then, and its row taken. On the same machine
with the same versions the pixels are identical; where they are not, the record says what was different.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InputError
from schemas.names import count_noun
from schemas.settings import Settings
from storage.ledger import Ledger
from storage.ledger.images import ImageDetails
from storage.objects import Store
from storage.pictures import decode_kept
from tasks.shift.gather import Gatherer

if TYPE_CHECKING:
    from engine.cutout import CutOuts
    from engine.diffuse import Engine
    from engine.rendered import Rendered


@dataclass(frozen=True)
class Reproduction:
    """`most` and `mean`: difference in levels of 255. `why`: what is not as it was, a sentence each."""

    digest: str
    pixels: NDArray[np.uint8]
    most: int
    mean: float
    why: tuple[str, ...]

    @property
    def identical(self) -> bool:
        return self.most == 0

    def __str__(self) -> str:
        if self.identical:
            return f"{self.digest[:12]}: identical, every pixel"
        away = f"{self.digest[:12]}: off by {self.most} levels of 255 at most, {self.mean:.3f} on average"
        return "\n  ".join(
            [away, *(self.why or ("nothing in the record is different; the device's own rounding is left",))]
        )


def find_image(ledger: Ledger, start: str) -> ImageDetails:
    """The image whose digest begins so. Raises InputError when none or several do."""
    found = ledger.matching(start) if len(start) >= 6 else []
    if len(found) != 1:
        raise InputError(
            f"got {start!r}, with which {count_noun(len(found), 'digest')} of images begin; "
            "expected one image's digest, or at least 6 letters of it"
        )
    return ledger.picture(found[0])


def settings_as_made(picture: ImageDetails, settings: Settings) -> Settings:
    """With the precision of its record, whatever this device's own is: at another one it is another picture."""
    return settings if picture.spec.is_imported else settings.model_copy(update={"dtype": picture.image.dtype})


def reproduce(
    picture: ImageDetails, *, store: Store, engine: Engine, cut_outs: CutOuts, settings: Settings
) -> Reproduction:
    """Raises the render's own error when it cannot be made, ModelChanged when the weights are not those any more."""
    spec, image = picture.spec, picture.image
    if spec.is_imported:
        raise InputError(f"got image {image.digest[:12]}, which was made elsewhere; expected one that was made here")
    # 1. the pictures it reads
    inputs = Gatherer(store, limits=settings.limits, condition_models=settings.condition_models).gather([spec])
    if inputs.failed:
        raise inputs.failed[0][1]
    # 2. a batch of the same shape
    size, row = int(image.batch.get("size", 1)), int(image.batch.get("row", 0))
    engine.compute_by(image.batch.get("backend", "torch"))
    made = engine.render([spec] * size, sources=inputs.sources, masks=inputs.masks, conditions=inputs.conditions)[row]
    if made.error is not None or made.pixels is None:
        raise made.error or InputError(f"{image.digest[:12]} could not be made")
    # 3. side by side
    kept = decode_kept(store.get(image.object_key), limits=settings.limits)
    pixels = cut_outs.cut(made.pixels, spec).pixels
    if pixels.shape != kept.shape:
        return Reproduction(image.digest, pixels, 255, 255.0, ("only one of the two could be cut out of its ground",))
    away = np.abs(pixels.astype(int) - kept)
    return Reproduction(image.digest, pixels, int(away.max()), float(away.mean()), list_changes(image, made))


def list_changes(image: Any, made: Rendered) -> tuple[str, ...]:
    """What the record says of the first making that is not so now."""
    from engine.diffuse import read_versions

    now: Mapping[str, str] = read_versions()
    why = [
        f"{name} is {now.get(name, 'not there')} now and was {was}"
        for name, was in sorted(image.versions.items())
        if name in now and now[name] != was
    ]
    for what, was, is_now in (
        ("device", image.device, made.device),
        ("precision", image.dtype, made.dtype),
        ("batch", image.batch.get("size", 1), made.batch_size),
        ("attention", image.batch.get("attention", "native"), made.levers.get("attention", "native")),
        ("denoiser's backend", image.batch.get("backend", "torch"), made.levers.get("backend", "torch")),
        ("compiler", image.batch.get("compile", "none"), made.levers.get("compile", "none")),
    ):
        if was != is_now:
            why.append(f"the {what} is {is_now} now and was {was}")
    return tuple(why)
