"""Pictures made elsewhere (`kind: import`): no device makes them, and their bytes stay as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ObjectMissing
from schemas.settings import Limits
from schemas.spec import ImageSpec
from storage.formats import FORMATS
from storage.objects import Store
from storage.pictures import Encoded, decode_kept
from tasks.shift.gather import make_picture_key

if TYPE_CHECKING:
    from engine.rendered import Rendered

MEDIA = dict(FORMATS.values())


def take_imports(specs: Sequence[ImageSpec], sources: Mapping[str, NDArray[np.uint8]]) -> list[Rendered]:
    """What the checks look at: transparent places are on a ground, as in every picture that is read."""
    from engine.rendered import Rendered

    return [
        Rendered(
            digest=spec.digest,
            pixels=sources[spec.source or ""],
            error=None,
            timings={},
            batch_size=len(specs),
            row=row,
            models={},
            device="none",
            dtype="uint8",
        )
        for row, spec in enumerate(specs)
    ]


def read_import(spec: ImageSpec, *, store: Store, limits: Limits) -> tuple[Encoded, NDArray[np.uint8]]:
    """The file as it was imported, and its pixels: uint8 [height, width, 3], or 4 with straight alpha. Raises
    ObjectMissing."""
    key = make_picture_key(store, spec.source or "")
    if key is None:
        raise ObjectMissing(f"{spec.asset}: picture {(spec.source or '')[:12]} is not in the object store")
    data, ending = store.get(key), key.rpartition(".")[2]
    return Encoded(data, MEDIA[ending], ending), decode_kept(data, limits=limits)
