"""Weights held in eight or four bits, and computed with in the type that they were loaded in (weight-only).

int8 has a step for each output channel (symmetric: w = q * step): half of 16 bits, and nearer to them than float8. int4
has a step and a least value for every 32 weights of a linear layer (w = q * step + least), two in a byte; convolutions
stay in int8 beside it, and so do the layers that bring time and size in, whose error would be in every other layer's.

Norms, biases and LoRAs stay as they are, and so do the first and the last convolution: they are a few thousandths of
the weights, and half of int8's error.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.memory import GROUP, fits_four_bits

LARGEST = 127
WHOLE = ("conv_in", "conv_out")
STEPS = 15


@torch.no_grad()
def store_weights(part: nn.Module, held: Literal["int8", "int4"]) -> None:
    """In place and for good: rounded weights are not given back, and peft cannot add a LoRA to them afterwards."""
    for name, module in list(part.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d) and "lora_" not in name and name.split(".")[-1] not in WHOLE:
            module.weight.requires_grad_(False)  # whole numbers have no gradient
            packs = held == "int4" and fits_four_bits(name, tuple(module.weight.shape))
            parametrize.register_parametrization(module, "weight", _Packed() if packs else _Scaled())


class _Scaled(nn.Module):
    """PyTorch's parametrization of a weight by its int8 values and their steps, one for each output channel."""

    def forward(self, values: Tensor, step: Tensor) -> Tensor:
        return values * step  # of the step's type

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        largest = weight.float().abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
        step = (largest / LARGEST).to(weight.dtype)
        return _count(weight, step).clamp(-LARGEST, LARGEST).to(torch.int8), step


class _Packed(nn.Module):
    """The same by values of four bits, two in a byte, and by each group's step and least value."""

    def forward(self, values: Tensor, step: Tensor, least: Tensor) -> Tensor:
        apart = torch.stack((values & STEPS, values >> 4), dim=-1)
        return (apart.reshape(*step.shape[:2], GROUP) * step + least).flatten(1)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        groups = weight.unflatten(1, (-1, GROUP))
        least = groups.amin(dim=2, keepdim=True)
        step = ((groups.amax(dim=2, keepdim=True).float() - least.float()) / STEPS).to(weight.dtype)
        values = _count(groups.float() - least.float(), step).clamp(0, STEPS).to(torch.uint8).flatten(1)
        return values[:, 0::2] | values[:, 1::2] << 4, step, least


def _count(weight: Tensor, step: Tensor) -> Tensor:
    """Steps to each value; none where all are alike or too near to be told apart in the step's type."""
    return torch.where(step > 0, weight.float() / step.float(), 0.0).round()
