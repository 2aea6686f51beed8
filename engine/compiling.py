"""torch.compile of what repeats: the transformer blocks of UNet and ControlNet, and the autoencoder's decoder.

Regional, as diffusers' `compile_repeated_blocks`: one block of each shape is compiled and serves all that are like it,
in a tenth of the time that the whole network takes. Shapes are fixed, so a batch that is smaller than one that was
compiled is filled up to it with its last row. What was compiled is kept in a folder, for the next process.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from schemas.spec import ImageSpec

BLOCKS = ["BasicTransformerBlock"]
GRAPHS = 64
"""Compiled forms of one block: sizes x with and without guidance x batch sizes x LoRAs. PyTorch's own limit is 8."""


class Compiler:
    """Does nothing when it is not `on`."""

    def __init__(self, *, on: bool = False, backend: str = "inductor", folder: Path | None = None) -> None:
        self.on, self.backend = on, backend
        self._sizes: dict[tuple[object, ...], set[int]] = {}
        if not on:
            return
        if folder is not None:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")  # Triton's kernels are kept under it too
        import torch._dynamo as dynamo

        dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, GRAPHS)
        warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")  # of diffusers
        _compile_clock().listen()

    @property
    def seconds(self) -> float:
        """What compiling has taken in this process, reading from the folder included."""
        return _compile_clock().seconds

    def prepare(self, part: Any) -> None:
        """Compiled at its first forward pass. In place: names, hooks and adapters of `part` stay."""
        if not self.on:
            return
        options: dict[str, Any] = {"backend": self.backend, "dynamic": False}
        if hasattr(part, "decoder"):
            part.decoder.compile(**options)
            return
        if not getattr(part, "_repeated_blocks", None):  # diffusers names the UNet's only
            part._repeated_blocks = BLOCKS
        part.compile_repeated_blocks(**options)

    def filled(self, spec: ImageSpec, rows: int, *, length: int) -> int:
        """How many rows the forward pass is to have: `rows`, or the smallest number compiled that holds them."""
        if not self.on:
            return rows
        guided = spec.guidance_scale > 1
        key = (spec.affinity_key, spec.width, spec.height, spec.task, length, guided)
        sizes = self._sizes.setdefault(key, set())
        size = min((size for size in sizes if size >= rows), default=rows)
        sizes.add(size)
        return size

    @contextmanager
    def decoding(self, vae: Any, *, eager: bool) -> Iterator[None]:
        """`eager` where the decoder is changed for a batch (seamless) or sees tiles of many shapes."""
        compiled = vae.decoder._compiled_call_impl
        if eager:
            vae.decoder._compiled_call_impl = None
        try:
            yield
        finally:
            vae.decoder._compiled_call_impl = compiled


class _Spent:
    """Seconds inside PyTorch's compiler, in this process."""

    def __init__(self) -> None:
        self.seconds, self._started = 0.0, 0.0

    def listen(self) -> None:
        """Told of the outermost compilation only, so that nothing counts twice."""
        from torch._dynamo.callback import callback_handler

        if self._start not in callback_handler.start_callbacks:
            callback_handler.register_start_callback(self._start)
            callback_handler.register_end_callback(self._end)

    def _start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def _end(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._started


@cache
def _compile_clock() -> _Spent:
    """One a process, as PyTorch's own list of callbacks is."""
    return _Spent()


def count_cache_hits() -> dict[str, int]:
    """Graphs that were compiled in this process, and graphs that came out of the folder."""
    from torch._dynamo.utils import counters

    found = counters["inductor"]
    return {"compiled": found["fxgraph_cache_miss"], "kept": found["fxgraph_cache_hit"]}


def use_channels_last(part: nn.Module, device: torch.device, switch: str) -> None:
    """`auto`: on CUDA; on a CPU the autoencoder, and in bfloat16 the UNet and ControlNets too, which in float32 gain
    nothing by it."""
    halved = next(part.parameters()).dtype == torch.bfloat16
    pays = device.type == "cuda" or (device.type == "cpu" and (halved or isinstance(part, AutoencoderKL)))
    if switch == "on" or (switch == "auto" and pays):
        part.to(memory_format=torch.channels_last)
