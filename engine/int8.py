"""Weights held in eight bits with a scale for each output channel: half of 16 bits, and nearer to them than float8.

Linear layers and convolutions keep an int8 weight and compute with what it stands for, in the type that they were
loaded in (weight-only, symmetric: w = q * s). Norms, biases and LoRAs stay as they are, and so do the first and the
last convolution: they are a few thousandths of the weights, and half of the error.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LARGEST = 127
WHOLE = ("conv_in", "conv_out")


@torch.no_grad()
def store_as_int8(part: nn.Module) -> None:
    """In place and for good: rounded weights are not given back, and peft cannot add a LoRA to them afterwards."""
    for name, module in list(part.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d) and "lora_" not in name and name.split(".")[-1] not in WHOLE:
            module.weight.requires_grad_(False)  # whole numbers have no gradient
            parametrize.register_parametrization(module, "weight", _Scaled())


class _Scaled(nn.Module):
    """PyTorch's parametrization of a weight by its int8 values and their scales, one for each output channel."""

    def forward(self, values: Tensor, scale: Tensor) -> Tensor:
        return values * scale  # of the scale's type

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        largest = weight.float().abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
        scale = (largest.clamp(min=1e-12) / LARGEST).to(weight.dtype)
        return (weight.float() / scale.float()).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale
