"""Device errors, told apart: no room, a lost device, or one row's own fault.

After an out-of-memory error the `except` block must be left before anything is tried again, since the exception holds
the frames and they hold the tensors (pytorch#18853). So errors are turned into ours as text, and returned.
"""

from __future__ import annotations

import gc

import torch

from engine.processor import has_bfloat16_units
from schemas.errors import DeviceLost, ModelError, OutOfMemory, RenderError
from schemas.settings import Backend

_LOST = ("cuda error", "cudnn error", "cublas error", "device-side assert", "mps backend out of sync", "hip error")
_FULL = ("out of memory", "cudnn_status_alloc_failed", "cublas_status_alloc_failed")


def classify_error(error: Exception) -> RenderError | ModelError:
    """Ours for anything that a forward pass raised. Keeps no reference to the traceback."""
    if isinstance(error, RenderError | ModelError):
        return type(error)(*error.args)
    said = f"{type(error).__name__}: {error}"
    plain = said.lower()
    if isinstance(error, torch.OutOfMemoryError) or any(words in plain for words in _FULL):
        return OutOfMemory(said.split("\n")[0])
    if isinstance(error, torch.AcceleratorError) or any(words in plain for words in _LOST):
        return DeviceLost(f"{said}; this process cannot use its device any more")
    return RenderError(said)


def free_memory(device: torch.device) -> None:
    """Gives cached blocks back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def find_device(asked: str) -> str:
    """The best of this machine's where `auto` is asked for."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_dtype(asked: str, device: str, *, backend: Backend) -> torch.dtype:
    """Where `auto` is asked for: bfloat16 where the device has units for it, unless a graph is asked for, which is
    float32."""
    if asked != "auto":
        return getattr(torch, asked)
    able = device == "cuda" or (device == "cpu" and backend != "onnxruntime" and has_bfloat16_units())
    return torch.bfloat16 if able else torch.float32


def find_slow_dtype(dtype: torch.dtype, device: str) -> str:
    """Why this precision gains nothing over float32 on this device; empty where it does, or is float32."""
    if device != "cpu" or dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16_units()):
        return ""
    name = str(dtype).removeprefix("torch.")
    return f"got {name} on a processor without units for it: no faster than float32, or far slower; expected auto"
