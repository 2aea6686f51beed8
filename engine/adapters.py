"""T2I-Adapters: conditions as features that the UNet's encoder adds to its own; computed once a call, not every step.

A hook on the real UNet hands them in, so that every pipeline can do what diffusers' has one pipeline for, beside
ControlNets too. An adapter is skipped where its scale is 0, before its start and after its end. arXiv 2302.08453.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.pixels import Picture, to_tensor
from engine.single_file import load_part
from schemas.errors import RenderError, UnfitWeights
from schemas.spec import ControlSpec


def load_adapter(path: Path, config: Mapping[str, Any], *, dtype: torch.dtype, device: torch.device, alias: str) -> Any:
    """Of a file in its authors' layout or diffusers', or of a folder. Raises UnfitWeights where a key does not fit."""
    try:
        return load_part(path, "t2i_adapter", config, dtype=dtype).to(device)
    except UnfitWeights as wrong:
        raise UnfitWeights(f"{alias}: {wrong}") from None


@contextmanager
def apply_adapters(
    pipe: Any, controls: Sequence[ControlSpec], adapters: Sequence[Any], rows: Sequence[Sequence[Picture]]
) -> Iterator[None]:
    """Within it the UNet of `pipe` follows `controls`; `rows`: for each row its conditions, in their order."""
    active = [n for n, control in enumerate(controls) if control.controlnet_conditioning_scale != 0]
    if not active:
        yield
        return
    hand = _Hand(pipe, len(rows))
    for n in active:
        condition = to_tensor([row[n] for row in rows], device=adapters[n].device)  # the UNet may be resting
        hand.add(controls[n], _features(adapters[n], condition, controls[n].model.alias))
    hooks = [
        pipe.unet.register_forward_pre_hook(hand.before, with_kwargs=True),
        pipe.unet.register_forward_hook(hand.after),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _features(adapter: Any, condition: Tensor, alias: str) -> list[Tensor]:
    height, width = condition.shape[-2:]
    step = adapter.total_downscale_factor
    if height % step or width % step:
        raise RenderError(
            f"got {width}x{height} with the T2I-Adapter {alias}; expected sides that are multiples of {step}"
        )
    if adapter.config.in_channels == 1:
        condition = condition.mean(dim=1, keepdim=True)
    return [feature.to(adapter.dtype) for feature in adapter(condition.to(adapter.dtype))]


class _Hand:
    """Counts the steps of one call; the UNet runs once for each entry of the scheduler's timesteps."""

    def __init__(self, pipe: Any, rows: int) -> None:
        self.pipe, self.rows, self.step = pipe, rows, 0
        self.given: list[tuple[ControlSpec, list[Tensor]]] = []
        self._sums: dict[tuple[int, ...], list[Tensor]] = {}

    def add(self, control: ControlSpec, features: list[Tensor]) -> None:
        self.given.append((control, [feature * control.controlnet_conditioning_scale for feature in features]))

    def before(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """diffusers' rule for ControlNets: a step counts when it lies wholly inside."""
        steps = self.pipe.num_timesteps
        on = tuple(
            n
            for n, (control, _) in enumerate(self.given)
            if self.step / steps >= control.control_guidance_start
            and (self.step + 1) / steps <= control.control_guidance_end
        )
        if not on:
            return None
        if on not in self._sums:
            self._sums[on] = [sum(parts[1:], parts[0]) for parts in zip(*(self.given[n][1] for n in on), strict=True)]
        sample = named["sample"] if "sample" in named else given[0]
        times = sample.shape[0] // self.rows  # 2 where the negative half is computed with the positive one
        features = [feature.repeat(times, 1, 1, 1) for feature in self._sums[on]]
        return given, {**named, "down_intrablock_additional_residuals": features}

    def after(self, module: Any, given: Any, said: Any) -> None:
        self.step += 1
