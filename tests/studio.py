"""The small studio checkpoint, as it ships."""

from __future__ import annotations

from pathlib import Path

from schemas.settings import ROOT


def catalogue_path() -> Path:
    """A catalogue in which `studio-tiny`, `studio-tiny/canny`, `/depth`, `/lcm` and `/style` can be loaded."""
    return ROOT / "models" / "catalogue.yaml"
