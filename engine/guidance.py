"""Classifier-free guidance beyond one scale: rescaled against overexposure, and only for a part of the steps.

diffusers' pipelines combine `negative + scale * (positive - negative)` themselves. Hooks on the real UNet hand them the
finished answer twice, and negative + scale * 0 is it; so every pipeline can do what only some of them offer.
Outside the interval the negative half is not computed at all, in the UNet and in the ControlNets.
Perturbed-attention guidance is one more copy of the positive half, in which the named self-attention layers let every
place see only itself; ControlNets do not run for it. Outside the interval there is none of it either.

rescale: "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891), section 3.4.
interval: "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality" (arXiv 2404.07724).
PAG: "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance" (arXiv 2403.17377).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import (
    Attention,
    PAGCFGIdentitySelfAttnProcessor2_0,
    PAGIdentitySelfAttnProcessor2_0,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import rescale_noise_cfg
from torch import Tensor

from schemas.errors import RenderError
from schemas.spec import ImageSpec


@contextmanager
def use_guidance(pipe: Any, spec: ImageSpec, *, rows: int) -> Iterator[None]:
    """Within it, `pipe` guides as the spec says; hooks are taken off again, whatever happened."""
    whole = (spec.guidance_start, _find_end(spec)) == (0.0, 1.0)
    double = spec.guidance_scale > 1
    if not spec.pag_scale and (not double or (whole and not spec.guidance_rescale)):
        yield
        return
    guide = _Guide(pipe, spec, rows, perturb_attention(pipe.unet, spec) if spec.pag_scale else [])
    hooks = [
        pipe.unet.register_forward_pre_hook(guide.before, with_kwargs=True),
        pipe.unet.register_forward_hook(guide.after),
    ]
    if spec.controlnets and double:
        hooks.append(pipe.controlnet.register_forward_pre_hook(guide.before_controls, with_kwargs=True))
    try:
        yield
    finally:
        guide.restore()
        for hook in hooks:
            hook.remove()


def _find_end(spec: ImageSpec) -> float:
    """The part of the steps after which there is no guidance: the interval's, or T-GATE's (engine/approximation.py)."""
    return min(spec.guidance_end, spec.approximation.tgate_after) if spec.approximation else spec.guidance_end


def perturb_attention(unet: Any, spec: ImageSpec) -> list[Attention]:
    """The self-attention layers whose names have a part that the spec names. Raises RenderError, naming what there is,
    for a part that is in none."""
    own = {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, Attention) and not module.is_cross_attention
    }
    for part in spec.pag_applied_layers:
        if not any(part in name for name in own):
            there = sorted({name.split(".transformer_blocks")[0] for name in own})
            raise RenderError(
                f"{spec.asset}: PAG is asked for in {part!r}; {spec.model.alias} has self-attention in: "
                + ", ".join(there)
            )
    return [module for name, module in own.items() if any(part in name for part in spec.pag_applied_layers)]


class _Guide:
    """Counts the steps of one call; the UNet runs once for each entry of the scheduler's timesteps."""

    def __init__(self, pipe: Any, spec: ImageSpec, rows: int, layers: list[Attention]) -> None:
        self.pipe, self.spec, self.rows, self.step = pipe, spec, rows, 0
        self.double = spec.guidance_scale > 1
        self._ours = [(layer, layer.processor) for layer in layers]
        self._halves: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def on(self) -> bool:
        """diffusers' rule for ControlNets: a step counts when it lies wholly inside."""
        steps = self.pipe.num_timesteps
        return self.step / steps >= self.spec.guidance_start and (self.step + 1) / steps <= _find_end(self.spec)

    def before_controls(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return None if self.on else (self._positive(given), self._positive(named))

    def before(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if not self.on:
            return (self._positive(given), self._positive(named)) if self.double else None
        if not self._ours:
            return None
        swap = PAGCFGIdentitySelfAttnProcessor2_0() if self.double else PAGIdentitySelfAttnProcessor2_0()
        for layer, _ in self._ours:
            layer.processor = swap
        return self._tripled(given), self._tripled(named)

    def after(self, module: Any, given: Any, said: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        answer = said[0]
        if self.on:
            parts = list(answer.split(self.rows))
            positive = parts[1] if self.double else parts[0]
            answer = positive
            if self.double:
                answer = parts[0] + self.spec.guidance_scale * (positive - parts[0])
            if self._ours:
                answer = answer + self.spec.pag_scale * (positive - parts[-1])
            if self.double and self.spec.guidance_rescale:
                answer = rescale_noise_cfg(answer, positive, guidance_rescale=self.spec.guidance_rescale)
        self.restore()
        self.step += 1
        return (torch.cat([answer, answer]) if self.double else answer, *said[1:])

    def restore(self) -> None:
        for layer, processor in self._ours:
            layer.processor = processor

    def _tripled(self, value: Any) -> Any:
        """Every tensor that has a row for each image, and its positive half once more."""
        whole = (2 if self.double else 1) * self.rows
        if isinstance(value, Tensor) and value.ndim and value.shape[0] == whole:
            return torch.cat([value, value[-self.rows :]])
        if isinstance(value, dict):
            return {name: self._tripled(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._tripled(item) for item in value)
        return value

    def _positive(self, value: Any) -> Any:
        """The second half of every tensor that has both; the same object for the same (controlnets.Remembered)."""
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
