"""The parts one process works with, opened once: ledger, store, catalogue and, when the first batch needs it, engine.

Prefect carries ids only, so a task finds its parts here. An entry point opens them (`using`); a flow that a Prefect
worker starts in a fresh process opens its own from the settings.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from engine.model_files import ModelFiles, open_model_files
from schemas.logs import start_logs
from schemas.settings import Settings
from storage.ledger import Ledger, open_ledger
from storage.objects import Store, open_store

if TYPE_CHECKING:
    from engine.cutout import CutOuts
    from engine.diffuse import Engine

log = logging.getLogger(__name__)

Told = Callable[[str, int, int], None]
"""Progress for whoever watches: what is being done, how much of it is done, how much there is."""


@dataclass
class Parts:
    settings: Settings
    ledger: Ledger
    store: Store
    catalogue: ModelFiles
    told: Told | None = None
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @cached_property
    def engine(self) -> Engine:
        """Imports torch: several seconds, once."""
        first = "engine.diffuse" not in sys.modules
        gc.disable()  # it would look through all that is imported again and again, for a sixth of the time
        try:
            from engine.diffuse import Engine
            from engine.runtime_options import RuntimeOptions
        finally:
            if first:  # never again: models that are loaded by then have to be let go
                gc.freeze()
            gc.enable()
        given = self.settings
        pins = self.ledger.pins()
        return Engine(
            self.catalogue, device=given.device, dtype=given.dtype, pins=pins, levers=RuntimeOptions.of(given)
        )

    @cached_property
    def cut_outs(self) -> CutOuts:
        """Imports OpenCV and ONNX Runtime."""
        from engine.cutout import CutOuts

        return CutOuts(self.catalogue)

    def tell(self, what: str, done: int, total: int) -> None:
        if self.told is not None:
            self.told(what, done, total)


_parts: ContextVar[Parts] = ContextVar("parts")


def open_parts(settings: Settings, *, told: Told | None = None) -> Parts:
    """Opens (and, the first time, makes) the database and the store of these settings."""
    return Parts(settings, open_ledger(settings), open_store(settings), open_model_files(settings), told)


@contextmanager
def use_parts(parts: Parts) -> Iterator[Parts]:
    """Flows and tasks called in this block work with these parts."""
    token = _parts.set(parts)
    try:
        yield parts
    finally:
        _parts.reset(token)


@contextmanager
def get_parts() -> Iterator[Parts]:
    """The caller's parts, or, in a worker's fresh process, those that the settings say."""
    try:
        yield _parts.get()
    except LookupError:
        settings = Settings()
        start_logs(settings.log_format, level=logging.WARNING)
        with use_parts(open_parts(settings)) as parts:
            yield parts


def current_parts() -> Parts:
    """LookupError when nothing was opened."""
    return _parts.get()
