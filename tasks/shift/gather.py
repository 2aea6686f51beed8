"""What a batch needs beside its specs: source pictures, masks and conditions, read from the object store.

A condition is computed once a source, type, parameters and size, and kept in the store for every night after.
Runs beside the device, one batch ahead of it.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import InputError, ObjectConflict, ObjectMissing, RenderError
from schemas.settings import Limits
from schemas.spec import ControlSpec, ImageSpec
from storage.objects import Store
from storage.pictures import decode

Picture = NDArray[np.uint8]

KEPT_PIXELS = 64_000_000
"""Decoded pixels that stay in memory between batches (about 200 MB): an asset's variants share their pictures."""

KINDS = ("sources", "masks", "images")
"""Where a picture that a spec names by digest can be; `images` for what a retake starts from."""


@dataclass
class Inputs:
    """Pictures as the engine takes them, for the specs that have all of theirs; and the others, with the reason."""

    specs: list[ImageSpec] = field(default_factory=list)
    sources: dict[str, Picture] = field(default_factory=dict)
    masks: dict[str, Picture] = field(default_factory=dict)
    conditions: dict[str, Picture] = field(default_factory=dict)
    failed: list[tuple[ImageSpec, RenderError]] = field(default_factory=list)


class Gatherer:
    """Not to be shared between threads."""

    def __init__(self, store: Store, *, limits: Limits, condition_models: Path | None) -> None:
        self._store, self._limits, self._condition_models = store, limits, condition_models
        self._kept: OrderedDict[str, Picture] = OrderedDict()

    def gather(self, specs: Sequence[ImageSpec]) -> Inputs:
        """A spec whose pictures cannot be had fails alone. StoreUnavailable is for the caller."""
        inputs = Inputs()
        for spec in specs:
            try:
                if spec.source is not None:
                    inputs.sources[spec.source] = self._picture(spec.source, spec)
                if spec.mask is not None:
                    inputs.masks[spec.mask] = self._picture(spec.mask, spec)[:, :, 0]
                for reference in spec.references:
                    inputs.sources[reference.image] = self._picture(reference.image, spec)
                for control in spec.controls:
                    key = control.condition_key(spec.width, spec.height)
                    inputs.conditions[key] = self._condition(key, control, spec)
            except RenderError as reason:
                inputs.failed.append((spec, reason))
            except (InputError, ObjectMissing) as wrong:
                inputs.failed.append((spec, RenderError(f"{spec.asset}: a picture cannot be read: {wrong}")))
            else:
                inputs.specs.append(spec)
        return inputs

    def _condition(self, key: str, control: ControlSpec, spec: ImageSpec) -> Picture:
        if key in self._kept:
            return self._keep(key, self._kept[key])
        # 1. Somebody computed it before.
        try:
            return self._keep(key, decode(self._store.get(key), limits=self._limits))
        except ObjectMissing:
            pass
        # 2. Nobody did. Two workers may both do it now; detectors are deterministic, and if not, the first one holds.
        from engine.control import make_condition

        made = make_condition(
            self._picture(control.image, spec),
            control,
            width=spec.width,
            height=spec.height,
            models_folder=self._condition_models,
            asker=f"{spec.project}/{spec.asset}",
        )
        try:
            self._store.put_once(key, _png(made), media_type="image/png")
        except ObjectConflict:
            made = decode(self._store.get(key), limits=self._limits)
        return self._keep(key, made)

    def _picture(self, digest: str, spec: ImageSpec) -> Picture:
        """uint8 [height, width, 3] of the picture with these bytes."""
        if digest in self._kept:
            return self._keep(digest, self._kept[digest])
        key = make_picture_key(self._store, digest)
        if key is None:
            raise RenderError(
                f"{spec.asset}: picture {digest[:12]} is in none of {', '.join(KINDS)} in the object store"
            )
        return self._keep(digest, decode(self._store.get(key), limits=self._limits))

    def _keep(self, name: str, picture: Picture) -> Picture:
        self._kept[name] = picture
        self._kept.move_to_end(name)
        while len(self._kept) > 1 and sum(p.shape[0] * p.shape[1] for p in self._kept.values()) > KEPT_PIXELS:
            self._kept.popitem(last=False)
        return picture


def make_picture_key(store: Store, digest: str) -> str | None:
    """The object that holds the picture with this SHA-256, whatever its extension."""
    return next((key for kind in KINDS for key in store.keys(f"{kind}/{digest[:2]}/{digest}")), None)


def _png(picture: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG", compress_level=1)
    return data.getvalue()
