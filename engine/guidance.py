"""Classifier-free guidance beyond one scale: rescaled against overexposure, and only for a part of the steps.

diffusers' pipelines combine `negative + scale * (positive - negative)` themselves. Hooks on the real UNet hand them the
finished answer twice, and negative + scale * 0 is it; so every pipeline can do what only some of them offer.
Outside the interval the negative half is not computed at all, in the UNet and in the ControlNets.

rescale: "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891), section 3.4.
interval: "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality" (arXiv 2404.07724).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import rescale_noise_cfg
from torch import Tensor

from schemas.spec import ImageSpec


@contextmanager
def guided(pipe: Any, spec: ImageSpec, *, rows: int) -> Iterator[None]:
    """Within it, `pipe` guides as the spec says; hooks are taken off again, whatever happened."""
    whole = (spec.guidance_start, spec.guidance_end) == (0.0, 1.0)
    if spec.guidance_scale <= 1 or (whole and not spec.guidance_rescale):
        yield
        return
    guide = _Guide(pipe, spec, rows)
    hooks = [
        pipe.unet.register_forward_pre_hook(guide.before, with_kwargs=True),
        pipe.unet.register_forward_hook(guide.after),
    ]
    if spec.controls:
        hooks.append(pipe.controlnet.register_forward_pre_hook(guide.before, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Guide:
    """Counts the steps of one call; the UNet runs once for each entry of the scheduler's timesteps."""

    def __init__(self, pipe: Any, spec: ImageSpec, rows: int) -> None:
        self.pipe, self.spec, self.rows, self.step = pipe, spec, rows, 0
        self._halves: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def on(self) -> bool:
        """diffusers' rule for ControlNets: a step counts when it lies wholly inside."""
        steps = self.pipe.num_timesteps
        return self.step / steps >= self.spec.guidance_start and (self.step + 1) / steps <= self.spec.guidance_end

    def before(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return None if self.on else (self._positive(given), self._positive(named))

    def after(self, module: Any, given: Any, said: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        answer = said[0]
        if self.on:
            negative, positive = answer.chunk(2)
            answer = negative + self.spec.guidance_scale * (positive - negative)
            if self.spec.guidance_rescale:
                answer = rescale_noise_cfg(answer, positive, guidance_rescale=self.spec.guidance_rescale)
        self.step += 1
        return (torch.cat([answer, answer]), *said[1:])

    def _positive(self, value: Any) -> Any:
        """The second half of every tensor that has both; the same object for the same tensor (models.Remembered)."""
        if isinstance(value, Tensor):
            if value.ndim == 0 or value.shape[0] != 2 * self.rows:
                return value
            if id(value) not in self._halves or self._halves[id(value)][0] is not value:
                if len(self._halves) > 64:
                    self._halves.clear()
                self._halves[id(value)] = (value, value[self.rows :])
            return self._halves[id(value)][1]
        if isinstance(value, dict):
            return {name: self._positive(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._positive(item) for item in value)
        return value
