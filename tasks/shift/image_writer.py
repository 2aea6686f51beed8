"""Pixels -> files, findings, record, inbox entry: beside the device, which makes the next batch meanwhile.

Bytes are put first and the record is written last, so a record proves that its bytes exist. A batch's records are one
transaction. Whatever goes wrong in here with one image is that image's failure; what goes wrong with the store or the
ledger ends the shift, loudly, at the next batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from schemas.errors import ModelError, RenderError, UnfitWeights
from schemas.likeness import SEARCH
from schemas.logs import about_spec
from schemas.records import Image
from schemas.review import count_reviews, rank_in_inbox
from schemas.spec import ImageSpec
from storage.failpoint import failpoint
from storage.ledger.new_images import NewImage
from storage.ledger.submissions import Brief
from storage.pictures import Encoded, encode, make_preview
from storage.vectors import name_space, pack
from tasks.checking import Checker
from tasks.retry import retry
from tasks.shift.failure_breaker import FailureBreaker, find_cause
from tasks.shift.imports import read_import
from tasks.shift.leases import Leases

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.cutout import Cut
    from engine.rendered import Rendered
    from tasks.parts import Parts

log = logging.getLogger(__name__)

WAITING_BATCHES = 2
"""Rendered batches that may wait for this stage; beyond that the device waits, rather than memory filling up."""

PREVIEW, THUMB = 1024, 384
"""px, longest sides."""


@dataclass
class Batch:
    """What the device made of some specs, in order."""

    specs: Sequence[ImageSpec]
    rendered: Sequence[Rendered]
    briefs: Mapping[str, Brief]


@dataclass
class Tally:
    """What became of a shift so far."""

    kept: int = 0
    failed: int = 0
    set_aside: int = 0
    gpu_seconds: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)


class ImageWriter:
    """A context; leaving it waits until everything handed over is kept, and raises what went wrong with that."""

    def __init__(
        self, parts: Parts, *, leases: Leases, streak: FailureBreaker, night: int, flow_run: str | None
    ) -> None:
        self._parts, self._leases, self._streak, self._night, self._flow_run = parts, leases, streak, night, flow_run
        self._checker = Checker(parts)
        self._error: BaseException | None = None
        self._queue: queue.Queue[Batch | None] = queue.Queue(maxsize=WAITING_BATCHES)
        self._pool = ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 2) // 4)), thread_name_prefix="keep")
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self.tally = Tally()

    def __enter__(self) -> ImageWriter:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._queue.put(None)
        self._thread.join()
        self._pool.shutdown()
        if error is None:
            self.check()

    def put(self, batch: Batch) -> None:
        """Hands a batch over; waits while too many are waiting. Raises what went wrong with an earlier one."""
        self.check()
        self._queue.put(batch)

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._error is None:  # after an error batches are only drained: their leases are released, none is lost
                try:
                    self._keep(batch)
                except BaseException as error:
                    self._error = error

    def _keep(self, batch: Batch) -> None:
        # 1. Files and findings, image by image; a failure here is that image's own.
        rows = list(zip(batch.specs, batch.rendered, strict=True))
        outcomes = self._pool.map(
            lambda row: row[1].error or self._file(row[0], row[1], batch.briefs[row[0].digest]), rows
        )
        wrong: list[tuple[ImageSpec, RenderError]] = []
        made: list[ImageSpec] = []
        keepings: list[NewImage] = []
        for (spec, done), outcome in zip(rows, outcomes, strict=True):
            self.tally.notes.update(done.notes)
            if isinstance(outcome, NewImage):
                made.append(spec)
                keepings.append(outcome)
                continue
            wrong.append((spec, outcome))
            if done.error is None:
                self._streak.note(outcome)  # the device's own errors were noted when they came
        # 2. The record last.
        failpoint("keep.before_record")
        kept = retry(lambda: self._parts.ledger.keep_many(keepings)) if keepings else 0
        failpoint("keep.after_record")
        self._leases.done([keeping.image.digest for keeping in keepings])
        self.tally.kept += kept
        self.tally.gpu_seconds += sum(keeping.image.gpu_seconds for keeping in keepings)
        for spec in made:
            log.info("%s %s kept", spec.asset, spec.variant, extra=about_spec(spec))
        # 3. Failures.
        for spec, reason in wrong:
            self.fail(spec, reason)

    def fail(self, spec: ImageSpec, reason: RenderError | ModelError) -> None:
        hopeless = isinstance(reason, UnfitWeights)  # the same file cannot get better
        aside = retry(
            lambda: self._parts.ledger.fail(
                spec.digest,
                cause=find_cause(reason),
                message=f"{spec.asset} {spec.variant}: {reason}",
                worker=self._parts.worker,
                night=self._night,
                max_attempts=1 if hopeless else self._parts.settings.max_attempts,
            )
        )
        failpoint("keep.after_failure")
        self._leases.done([spec.digest])
        log.log(
            logging.WARNING if aside else logging.INFO,
            "%s %s %s: %s",
            spec.asset,
            spec.variant,
            "is set aside" if aside else "failed",
            reason,
            extra=about_spec(spec),
        )
        self.tally.failed += 1
        self.tally.set_aside += aside

    def _file(self, spec: ImageSpec, done: Rendered, brief: Brief) -> NewImage | RenderError:
        try:
            rules = self._checker.rules(brief.submission, brief.manifest_body, brief.files)
            manifest = rules.manifest
            criteria = manifest.criteria_of(manifest.asset(spec.asset))
            # 1. What is shown and delivered.
            began = time.perf_counter()
            assert done.pixels is not None
            cut = self._parts.cut_outs.cut(done.pixels, spec) if spec.background else None
            file, shown = self._encode(spec, done.pixels, cut)
            previews = [make_preview(shown, longest) for longest in (PREVIEW, THUMB)]
            encoded = time.perf_counter()
            # 2. What the checks say, of the whole picture as it was made.
            said = self._checker.check(spec, done.pixels, rules, criteria)
            findings = [*said.findings, *([cut.finding] if cut is not None and cut.finding is not None else [])]
            checked = time.perf_counter()
        except Exception as error:
            log.exception("%s %s could not be kept", spec.asset, spec.variant, extra=about_spec(spec))
            return error if isinstance(error, RenderError) else RenderError(f"{type(error).__name__}: {error}")
        # 3. Bytes.
        image_key = self._put("images", file.data, file.extension, file.media_type)
        preview_key, thumb_key = (
            self._put(kind, data, "webp", "image/webp")
            for kind, data in zip(("previews", "thumbs"), previews, strict=True)
        )
        spent = {"files": encoded - began, "checks": checked - encoded, "put": time.perf_counter() - checked}
        return NewImage(
            image=Image(
                digest=spec.digest,
                project=spec.project,
                asset=spec.asset,
                sha256=hashlib.sha256(file.data).hexdigest(),
                object_key=image_key,
                preview_key=preview_key,
                thumb_key=thumb_key,
                media_type=file.media_type,
                bytes=len(file.data),
                width=done.pixels.shape[1],
                height=done.pixels.shape[0],
                conditions=[control.condition_key(spec.width, spec.height) for control in spec.controls],
                phash=said.phash,
                colours=said.colours,
                **self._trace(spec, done, spent),
            ),
            findings=findings,
            criteria=criteria,
            reviews_wanted=count_reviews(spec.digest, manifest.review.double_share),
            rank=rank_in_inbox(brief.priority, findings),
            submission=brief.submission,
            steps=manifest.review.steps,
            vectors=pack_vectors(spec, done),
        )

    def _encode(self, spec: ImageSpec, made: NDArray[np.uint8], cut: Cut | None) -> tuple[Encoded, NDArray[np.uint8]]:
        """What is delivered, and its pixels."""
        if spec.is_imported:
            return read_import(spec, store=self._parts.store, limits=self._parts.settings.limits)
        shown, ground = (made, None) if cut is None else (cut.pixels, cut.ground)
        entry = self._parts.catalogue.entries.get(spec.model.alias)
        architecture = entry.architecture if entry is not None else "sdxl"
        form = self._parts.settings.image_format
        return encode(shown, spec, image_format=form, ground=ground, architecture=architecture), shown

    def _trace(self, spec: ImageSpec, done: Rendered, spent: Mapping[str, float]) -> dict[str, Any]:
        """How, when and by whom it was made: columns of its record. `spent`: seconds after rendering, by stage."""
        return {
            "models": done.models | matting_model(spec),
            "versions": {} if spec.is_imported else read_versions(),
            "device": done.device,
            "dtype": done.dtype,
            "batch": {"size": done.batch_size, "row": done.row, "notes": list(done.notes), **done.levers},
            "timings": {stage: round(seconds, 4) for stage, seconds in {**done.timings, **spent}.items()},
            "gpu_seconds": split_gpu_seconds(done),
            "night": self._night,
            "flow_run": self._flow_run,
            "worker": self._parts.worker,
            "made_at": datetime.now(UTC),
        }

    def _put(self, kind: str, data: bytes, extension: str, media_type: str) -> str:
        failpoint(f"keep.before_{kind}")
        store = self._parts.store
        key = retry(lambda: store.put_content(kind, data, extension=extension, media_type=media_type))
        failpoint(f"keep.after_{kind}")
        return key


@cache
def read_versions() -> dict[str, str]:
    """Library -> version, for the record."""
    from engine.diffuse import read_versions

    return read_versions()


def matting_model(spec: ImageSpec) -> dict[str, str]:
    """Alias -> digest of the model that cuts the subject out, which the engine does not load."""
    model = spec.background.model if spec.background else None
    return {model.alias: model.digest} if model else {}


def pack_vectors(spec: ImageSpec, done: Rendered) -> dict[str, bytes]:
    """By space. What has no direction is left out: an image without a vector is only not found by likeness."""
    packed = {}
    for kind, vector in done.vectors.items():
        model = done.search_model if kind == SEARCH else spec.model.digest
        packed[name_space(kind, model)] = pack(vector, whole=kind == SEARCH)
    return {space: vector for space, vector in packed.items() if vector is not None}


def split_gpu_seconds(done: Rendered) -> float:
    """This image's share of the time its batch had the device; every stage that the engine times is there."""
    return sum(done.timings.values())
