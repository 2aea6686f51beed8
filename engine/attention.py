"""Which of PyTorch's attention kernels: its own choice, a named one, or the fastest on this device.

SDXL's attention in diffusers goes through PyTorch's scaled_dot_product_attention, so the kernel is chosen around the
forward pass. A measured choice is kept in a file: another kernel rounds otherwise, and the same spec is to give the
same picture tomorrow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from engine.remembered import read_remembered, write_remembered
from schemas.settings import Attention

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
SHAPES = {"cuda": (10, 4096, 64)}
"""Heads, tokens and width that are measured: SDXL's largest self-attention at 1024 x 1024; less on a slow device."""
LESS = (4, 256, 64)
MARGIN = 1.03
"""How much faster than PyTorch's own choice a kernel must be to be taken."""


@contextmanager
def use_attention(kernel: str) -> Iterator[None]:
    """The others stay allowed behind it, for what it cannot do (masks, odd widths)."""
    if kernel == "native":
        yield
        return
    order = [KERNELS[kernel], *(other for name, other in KERNELS.items() if name != kernel)]
    with sdpa_kernel(order, set_priority=True):
        yield


def measure_backends(
    device: torch.device, dtype: torch.dtype, *, rows: int = 4, shape: tuple[int, int, int], repeats: int = 10
) -> dict[str, float]:
    """Kernel -> milliseconds of one self-attention, the fastest of `repeats`; those that cannot run are left out."""
    heads, tokens, width = shape
    q, k, v = (torch.randn(rows, heads, tokens, width, device=device, dtype=dtype) for _ in range(3))
    found = {}
    for name in ("native", *KERNELS):
        try:
            with torch.inference_mode(), _alone(name):
                times = []
                for _ in range(repeats + 2):
                    _wait(device)
                    started = time.perf_counter()
                    scaled_dot_product_attention(q, k, v)
                    _wait(device)
                    times.append(time.perf_counter() - started)
        except RuntimeError:  # "No available kernel", or no room for the mathematical one
            continue
        found[name] = round(min(times[2:]) * 1000, 4)
    return found


def choose_backend(
    asked: Attention,
    *,
    device: torch.device,
    dtype: torch.dtype,
    folder: Path | None,
    shape: tuple[int, int, int] | None = None,
) -> str:
    """A kernel's name, or `native`. For `auto` the file in `folder` decides when it knows this device and version."""
    if asked != "auto":
        return asked
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    key = f"{name}, torch {torch.__version__}, {str(dtype).removeprefix('torch.')}"
    file = folder / "attention.json" if folder else None
    known = read_remembered(file)
    kernel = known[key].get("kernel") if isinstance(known.get(key), dict) else None
    if not isinstance(kernel, str):
        figures = measure_backends(device, dtype, shape=shape or SHAPES.get(device.type, LESS))
        best = min(figures, key=lambda kernel: figures[kernel])
        if figures["native"] <= figures[best] * MARGIN:
            best = "native"
        kernel = best
        if file:
            write_remembered(file, known | {key: {"kernel": best, "milliseconds": figures}})
    return kernel


@contextmanager
def _alone(kernel: str) -> Iterator[None]:
    if kernel == "native":
        yield
    else:
        with sdpa_kernel(KERNELS[kernel]):
            yield


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
