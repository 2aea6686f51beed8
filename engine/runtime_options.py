"""How the device is used: what changes speed and memory and, within rounding, no picture.

A field is a setting of the same name (schemas/settings.py). What does change a picture is the spec's, not a lever.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.settings import Attention, Backend, Settings

Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class RuntimeOptions:
    """`folder` keeps between processes what was measured and compiled; None: it is found again in each."""

    memory: str = "auto"
    """`auto`: what the device has free; `8gb`: as if it had so much."""
    compile: bool = False
    compile_backend: str = "inductor"
    """torch.compile's; `eager` traces without compiling, for tests. No setting."""
    channels_last: Switch = "auto"
    attention: Attention = "native"
    backend: Backend = "auto"
    folder: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> RuntimeOptions:
        return cls(
            memory=settings.memory,
            compile=settings.compile,
            channels_last=settings.channels_last,
            attention=settings.attention,
            backend=settings.backend,
            folder=(settings.home / "device").resolve(),
        )
