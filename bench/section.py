"""One section of bench/gpu.py at work: its clock, its budget, and the file that each figure is written to at once."""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.sdxl import SDXL, Shapes
from engine.guards import classify_error, free_memory
from schemas.errors import OutOfMemory


@dataclass
class Section:
    """`folder` holds weights and compiled code, for the sections after this one too; `file` the figures of all."""

    name: str
    shapes: Shapes
    device: torch.device
    dtype: torch.dtype
    file: Path
    folder: Path
    seconds: float
    backend: str = "inductor"
    jobs: int = 64
    steps: int = 30
    began: float = field(default_factory=time.perf_counter)

    @property
    def true_size(self) -> bool:
        return self.shapes is SDXL

    @property
    def where(self) -> dict[str, Any]:
        return {"device": self.device, "dtype": self.dtype}

    @property
    def left(self) -> float:
        """Seconds of the section's budget."""
        return self.seconds - (time.perf_counter() - self.began)

    def note(self, name: str, figures: Any) -> None:
        """Into the file and onto the screen."""
        body = json.loads(self.file.read_text()) if self.file.is_file() else {}
        body.setdefault(self.name, {})[name] = figures
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(body, indent=1) + "\n")
        new.replace(self.file)
        print(f"{self.name:11} {name:28} {_short(figures)}", flush=True)

    def noted(self, *names: str) -> Any:
        """A figure of this or an earlier section; None when it is not there."""
        body: Any = json.loads(self.file.read_text()) if self.file.is_file() else {}
        for name in names:
            body = body.get(name) if isinstance(body, dict) else None
        return body

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What has no room on the device, or is not to be had on it, is noted, and the section goes on."""
        reason = None
        try:
            with torch.inference_mode():
                yield
        except Exception as error:
            reason = classify_error(error)
            if self.device.type == "cpu" and not isinstance(reason, OutOfMemory):
                raise  # a rehearsal is to find mistakes
        if reason is not None:  # the `except` is left: its tensors are gone
            gc.collect()
            free_memory(self.device)
            self.note(name, {"failed": f"{type(reason).__name__}: {reason}"[:300]})

    def milliseconds(self, run: Callable[[], Any], *, repeats: int = 10, most: float = 8.0) -> float:
        """Median of up to `repeats` runs in `most` seconds, after two uncounted. A rehearsal runs once."""
        started = time.perf_counter()
        if not self.true_size:
            run()
            return (time.perf_counter() - started) * 1000
        for _ in range(2):
            run()
        self.wait()
        each = (time.perf_counter() - started) / 2
        repeats = max(3, min(repeats, int(most / max(each, 1e-6))))
        if self.device.type != "cuda":
            spent = []
            for _ in range(repeats):
                started = time.perf_counter()
                run()
                spent.append(time.perf_counter() - started)
            return statistics.median(spent) * 1000
        events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
        events[0].record()
        for event in events[1:]:
            run()
            event.record()
        self.wait()
        return statistics.median(a.elapsed_time(b) for a, b in itertools.pairwise(events))

    def operations(self, run: Callable[[], Any]) -> int:
        """Floating-point operations of one run, two a multiply-add; of products, convolutions and attention."""
        with FlopCounterMode(display=False) as counted:
            run()
        return counted.get_total_flops()

    def speed(self, milliseconds: float, operations: float) -> dict[str, float]:
        found = {"ms": round(milliseconds, 3), "tflop": round(operations / 1e12, 4)}
        found["tflop_s"] = round(operations / milliseconds / 1e9, 1)
        peak = self.noted("peak", "matmul", "tflop_s")
        return found | ({"share_of_peak": round(found["tflop_s"] / peak, 3)} if peak else {})

    def peak_bytes(self, run: Callable[[], Any]) -> int:
        """Most memory in use during a run, beyond what was in use before; 0 where the device does not say."""
        if self.device.type != "cuda":
            run()
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        run()
        return torch.cuda.max_memory_allocated(self.device) - before

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _short(figures: Any) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    said = (f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items())
    return "  ".join(said)[:200]
