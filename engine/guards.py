"""Device errors, told apart: no room, a lost device, or one row's own fault.

After an out-of-memory error the `except` block must be left before anything is tried again, since the exception holds
the frames and they hold the tensors (pytorch#18853). So errors are turned into ours as text, and returned.
"""

from __future__ import annotations

import gc

import torch

from schemas.errors import DeviceLost, ModelError, OutOfMemory, RenderError

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
