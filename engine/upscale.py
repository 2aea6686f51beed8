"""Learned enlarging (the ESRGAN class) through spandrel, which knows an architecture by its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.pixels import Picture, fit_picture, to_tensor
from schemas.errors import ModelMissing

TILE, OVERLAP = 512, 32  # px of the small picture; an enlarger sees about 30 px around a pixel


class Upscaler:
    """One file's network on the device. Raises ModelMissing for weights that spandrel does not know."""

    def __init__(self, path: Path, *, device: torch.device, dtype: torch.dtype, asker: str) -> None:
        try:
            from spandrel import ImageModelDescriptor, ModelLoader
        except ImportError:
            raise ModelMissing(f"{asker} asks for an upscaler, which needs the package spandrel") from None
        try:
            model = ModelLoader(device=device).load_from_file(path)
        except Exception as wrong:
            raise ModelMissing(f"{asker} asks for the upscaler {path}, which cannot be read: {wrong}") from wrong
        if not isinstance(model, ImageModelDescriptor) or model.scale < 2:
            raise ModelMissing(f"{asker} asks for the upscaler {path}, which enlarges nothing")
        able = {torch.float16: model.supports_half, torch.bfloat16: model.supports_bfloat16}
        self.model: Any = model.to(dtype if able.get(dtype) else torch.float32).eval()
        self.scale, self.device = model.scale, device

    @torch.inference_mode()
    def __call__(self, picture: Picture, *, width: int, height: int) -> Picture:
        """Enlarged by the network's own factor, in overlapping tiles when large, then fitted to exactly this size."""
        image = to_tensor([picture], device=self.device).to(self.model.dtype)
        tall, wide = picture.shape[:2]
        large = np.empty((tall * self.scale, wide * self.scale, 3), np.uint8)
        for top in range(0, tall, TILE):
            for left in range(0, wide, TILE):
                up, back = max(0, top - OVERLAP), max(0, left - OVERLAP)
                piece = image[..., up : top + TILE + OVERLAP, back : left + TILE + OVERLAP]
                made = self.model(piece)[..., (top - up) * self.scale :, (left - back) * self.scale :]
                made = made[0, :, : min(TILE, tall - top) * self.scale, : min(TILE, wide - left) * self.scale]
                levels = (made.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
                y, x = top * self.scale, left * self.scale
                large[y : y + levels.shape[0], x : x + levels.shape[1]] = levels
        return fit_picture(large, width=width, height=height)
