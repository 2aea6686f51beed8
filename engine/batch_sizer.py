"""How many rows fit on the device at once: measured at one row and at two, extrapolated, and remembered.

The first rows of a shape that is not known go alone and in pairs: their pictures are kept, so measuring wastes nothing
but speed, once for each model, shape and device. An out-of-memory error still halves a batch; that is the net below.
A device that does not count its memory (the CPU) takes what comes: the setting `batch_size` alone decides there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from engine.remembered import read_remembered, write_remembered
from schemas.spec import ImageSpec

SHARE = 0.9
"""Of the free memory, for what is measured: the rest is the allocator's gaps."""


class Meter(Protocol):
    name: str

    def start(self) -> None: ...
    def peak(self) -> int:
        """Most bytes in use since `start`, weights included."""
        ...

    def capacity(self) -> int:
        """Bytes that this process could use in all."""
        ...


class CudaMeter:
    def __init__(self, device: torch.device) -> None:
        self.device, self.name = device, torch.cuda.get_device_name(device)

    def start(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device)

    def capacity(self) -> int:
        return torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device)


class BatchSizer:
    """`file` remembers peaks between processes, by device, model and shape."""

    def __init__(self, meter: Meter | None, *, file: Path | None = None) -> None:
        self.meter, self.file = meter, file
        self._most: dict[str, int] = {}
        """By shape, once so many did not fit."""
        self._peaks: dict[str, dict[str, int]] = {}
        if meter:
            self._peaks = _read_peaks(file, meter.name)

    def rows(self, spec: ImageSpec, wanted: int) -> int:
        """How many of `wanted` rows to try next."""
        shape = _shape(spec)
        wanted = min(wanted, self._most.get(shape, wanted))
        if self.meter is None or wanted <= 1:
            return wanted
        known = self._peaks.get(shape, {})
        for few in ("1", "2"):
            if few not in known:
                return int(few)
        each = max(1, known["2"] - known["1"])
        spare = self.meter.capacity() * SHARE - known["1"]
        return max(1, min(wanted, 1 + int(spare // each)))

    @contextmanager
    def watching(self, spec: ImageSpec, rows: int) -> Iterator[None]:
        """Around the denoising of so many rows; it alone grows with them, decoding goes picture by picture."""
        shape = _shape(spec)
        if self.meter is None or rows > 2 or str(rows) in self._peaks.get(shape, {}):
            yield
            return
        self.meter.start()
        yield
        self._peaks.setdefault(shape, {})[str(rows)] = self.meter.peak()
        if self.file is not None:
            write_remembered(self.file, read_remembered(self.file) | {self.meter.name: self._peaks})

    def at_most(self, spec: ImageSpec, rows: int) -> None:
        """More did not fit."""
        self._most[_shape(spec)] = rows


def _read_peaks(file: Path | None, device: str) -> dict[str, dict[str, int]]:
    """Bytes by shape and rows, as far as they are numbers."""
    peaks: dict[str, dict[str, int]] = {}
    by_shape = read_remembered(file).get(device)
    for shape, by_rows in by_shape.items() if isinstance(by_shape, dict) else ():
        if isinstance(by_rows, dict):
            peaks[shape] = {rows: peak for rows, peak in by_rows.items() if type(peak) is int}
    return peaks


def _shape(spec: ImageSpec) -> str:
    guided = "guided" if spec.guidance_scale > 1 else "unguided"
    keeps = f" {spec.approximation}" if spec.approximation else ""  # what is kept between steps takes room
    return f"{spec.affinity_key} {spec.width}x{spec.height} {spec.task} {guided}{keeps}"
