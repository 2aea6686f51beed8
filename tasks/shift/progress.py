"""How far a shift is: told to the terminal that waits for it, and shown in Prefect when a worker runs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import deployment

from tasks.parts import Parts

log = logging.getLogger(__name__)


class Progress:
    """A context over `total` images."""

    def __init__(self, parts: Parts, total: int, *, description: str) -> None:
        self._parts, self._total, self._done = parts, total, 0
        self._artifact: Any = None
        if deployment.id:
            with _shown():
                self._artifact = create_progress_artifact(progress=0.0, key="shift", description=description)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._artifact is not None and kind is None:
            with _shown():
                update_progress_artifact(artifact_id=self._artifact, progress=100.0)

    def advance(self, images: int) -> None:
        self._done += images
        self._parts.tell("made", images, self._total)
        if self._artifact is not None:
            with _shown():
                update_progress_artifact(artifact_id=self._artifact, progress=100.0 * self._done / max(1, self._total))


@contextmanager
def _shown() -> Iterator[None]:
    """What cannot be shown in Prefect is made all the same: its server may be away."""
    try:
        yield
    except Exception as error:
        log.warning("the shift's progress is not shown in Prefect: %s", type(error).__name__)
