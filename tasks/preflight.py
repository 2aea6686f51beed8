"""What stands in the way of a spec, found before the night begins: models, detector weights, pictures.

A spec with an obstacle is not tried tonight; it waits, and the report names it with its reason. Opens no weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from engine.catalogue import Catalogue
from schemas.errors import ModelError
from schemas.spec import ImageSpec
from storage.objects import Store
from tasks.gather import KINDS, picture_key


def obstacles(
    specs: Iterable[ImageSpec], *, catalogue: Catalogue, store: Store, condition_models: Path | None
) -> dict[str, str]:
    """Spec digest -> one sentence that says what is missing, for whom. Each model and picture is looked at once."""

    @cache
    def model(alias: str, digest: str, asker: str) -> str | None:
        try:
            found = catalogue.digest(alias, asker=asker)
        except ModelError as error:
            return str(error)
        if found != digest:
            return f"{asker} was planned with {alias} {digest[:12]}; the files are now {found[:12]}"
        return None

    @cache
    def picture(digest: str) -> str | None:
        return None if picture_key(store, digest) else f"is in none of {', '.join(KINDS)} in the object store"

    @cache
    def detector(control: str, asker: str) -> str | None:
        from engine.detectors import missing

        return missing(control, condition_models, asker=asker)

    def first(spec: ImageSpec) -> str | None:
        asker = f"{spec.project}/{spec.asset}"
        for ref in spec.models():
            if reason := model(ref.alias, ref.digest, asker):
                return reason
        for digest in sorted(spec.digests_needed()):
            if reason := picture(digest):
                return f"{asker}: picture {digest[:12]} {reason}"
        for control in spec.controls:
            if control.precomputed or not (reason := detector(control.type, asker)):
                continue
            if not store.exists(control.condition_key(spec.width, spec.height)):  # made on another machine, perhaps
                return reason
        return None

    return {spec.digest: reason for spec in specs if (reason := first(spec))}
