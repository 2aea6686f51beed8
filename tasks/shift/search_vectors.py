"""Vectors of pictures by the studio's model for searching: of each new image, and of those from before.

The model is the setting `search_model`. It advises nobody and makes nothing: where it cannot be had, images are kept
without such a vector, their notes say why, and `dailies models embed` adds it later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from schemas.errors import InputError, ModelError, ObjectDamaged, ObjectMissing
from schemas.likeness import SEARCH
from storage.pictures import decode
from storage.vectors import name_space, pack
from tasks.parts import Parts
from tasks.retry import retry

if TYPE_CHECKING:
    from engine.dual_encoder import DualEncoder
    from engine.rendered import Rendered

log = logging.getLogger(__name__)

NONE_COMPUTED = "no vector for searching"


class SearchVectors:
    """Adds them to what a shift made. A model that cannot be had is asked for once a shift."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._encoder: DualEncoder | None = None
        self._refusal = ""

    def add(self, rendered: Sequence[Rendered]) -> list[Rendered]:
        """The same rows; those with a picture have the vector and the seconds that it took, or a note on why not."""
        made = [row for row in rendered if row.pixels is not None]
        if not self._parts.settings.search_model or not made:
            return list(rendered)
        encoder = self._open()
        if encoder is None:
            return [self._note(row, self._refusal) for row in rendered]
        started = time.perf_counter()
        try:
            vectors = encoder.encode_pictures([row.pixels for row in made if row.pixels is not None])
        except Exception as error:  # out of memory, or a device that is lost: the pictures are made, and are kept
            log.warning("%s: %s: %s", NONE_COMPUTED, type(error).__name__, error)
            return [self._note(row, f"{type(error).__name__}: {error}"[:200]) for row in rendered]
        share = (time.perf_counter() - started) / len(made)
        found = {
            row.digest: replace(
                row,
                vectors={**row.vectors, SEARCH: vector},
                search_model=encoder.digest,
                timings={**row.timings, SEARCH: share},
            )
            for row, vector in zip(made, vectors, strict=True)
        }
        return [found.get(row.digest, row) for row in rendered]

    def _open(self) -> DualEncoder | None:
        if self._encoder is None and not self._refusal:
            try:
                self._encoder = open_encoder(self._parts)
            except ModelError as wrong:
                self._refusal = str(wrong)
                log.warning("%s: %s", NONE_COMPUTED, wrong)
        return self._encoder

    @staticmethod
    def _note(row: Rendered, reason: str) -> Rendered:
        return row if row.pixels is None else replace(row, notes=(*row.notes, f"{NONE_COMPUTED}: {reason}"))


def open_encoder(parts: Parts) -> DualEncoder:
    """On the device that renders. Imports torch. Raises ModelError."""
    from engine.dual_encoder import DualEncoder
    from engine.guards import find_device

    device = find_device(parts.settings.device)
    return DualEncoder.open(parts.catalogue, parts.settings.search_model, device=device)


@dataclass(frozen=True)
class Embedded:
    """How far `embed_images` has come. `skipped`: images whose bytes are gone or cannot be read."""

    done: int
    skipped: int
    total: int


def embed_images(parts: Parts, *, batch_size: int) -> Iterator[Embedded]:
    """Gives every image the vector that it lacks, batch by batch: what was interrupted goes on where it was. Raises
    ModelError, or InputError where no `search_model` is set."""
    if not parts.settings.search_model:
        raise InputError("search_model is not set; expected the alias of a dual_encoder of the catalogue")
    encoder = open_encoder(parts)
    space = name_space(SEARCH, encoder.digest)
    after, done, skipped = "", 0, 0
    total = parts.ledger.count_without_vector(space)
    while images := parts.ledger.images_without_vector(space, after=after, limit=batch_size):
        after = images[-1].digest
        pictures = {}
        for image in images:
            try:
                data = retry(partial(parts.store.get, image.object_key))
                pictures[image.digest] = decode(data, limits=parts.settings.limits)
            except (ObjectMissing, ObjectDamaged, InputError) as wrong:
                skipped += 1
                log.warning("%s has %s: %s", image.digest[:12], NONE_COMPUTED, wrong)
        if pictures:
            vectors = encoder.encode_pictures(list(pictures.values()))
            packed = {digest: pack(one, whole=True) for digest, one in zip(pictures, vectors, strict=True)}
            kept = {digest: one for digest, one in packed.items() if one is not None}
            parts.ledger.add_vectors(space, kept)
            done += len(kept)
            skipped += len(packed) - len(kept)
        yield Embedded(done, skipped, total)
