"""A UNet's layers written for ONNX Runtime's kernels: the same sums, with fewer passes over memory.

- Attention is one operator, which never holds all scores of a head at once.
- The two halves of a gated feed-forward (GEGLU) are products of their own, with the bias inside, instead of one that is
  cut apart.
- Enlarging to twice the size and convolving with 3 x 3 weights sees each value up to four times. A transposed
  convolution with 4 x 4, in which the weights for one value are added beforehand, does it in 4 products a place instead
  of 9. It enlarges to exactly twice the size, so it is for sides that halve evenly.

Along seamless axes convolutions pad circularly (engine/seamless.py).

Parameters keep their names. What is built otherwise than SDXL's layers stays as diffusers wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class GraphKind:
    """What a graph is for, beside its UNet's shape."""

    halves: bool
    """Every side halves evenly down to the deepest block; such a graph is the faster one. The other takes any sides."""
    axes: str = ""
    """Along which it pads circularly: "", "x", "y" or "xy"."""


def rewrite_layers(unet: Any, kind: GraphKind) -> None:
    """For a trace, within `use_circular_padding`; `unet` is of no other use afterwards."""
    unet.set_attn_processor(
        {
            f"{name}.processor": _attend if _is_plain(layer) else layer.processor
            for name, layer in unet.named_modules()
            if isinstance(layer, Attention)
        }
    )
    for layer in unet.modules():
        if isinstance(layer, FeedForward) and isinstance(layer.net[0], GEGLU):
            layer.forward = partial(_feed_forward, layer)
        elif isinstance(layer, Upsample2D) and kind.halves and _doubles(layer):
            layer.forward = partial(_double, layer, kind.axes)


def _is_plain(layer: Attention) -> bool:
    added = (
        layer.spatial_norm,
        layer.group_norm,
        layer.norm_q,
        layer.norm_k,
        layer.added_kv_proj_dim,
        layer.norm_cross,
    )
    return not any(added) and not layer.residual_connection and layer.rescale_output_factor == 1


def _doubles(layer: Upsample2D) -> bool:
    conv = layer.conv
    if not isinstance(conv, nn.Conv2d) or layer.use_conv_transpose or layer.norm is not None or not layer.interpolate:
        return False
    return (conv.kernel_size, conv.stride, conv.padding, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
        query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int) -> Any:
        """Of ONNX Runtime's own operators."""
        answer = graph.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads)
        return answer.setType(query.type())


def _attend(layer: Any, states: Tensor, encoder_hidden_states: Tensor | None = None, **rest: Any) -> Tensor:
    seen = states if encoder_hidden_states is None else encoder_hidden_states
    answer = _FusedAttention.apply(layer.to_q(states), layer.to_k(seen), layer.to_v(seen), layer.heads)
    projected: Tensor = layer.to_out[0](answer)
    return projected


def _feed_forward(layer: Any, states: Tensor, *rest: Any, **named: Any) -> Tensor:
    """Places of all rows in one matrix, for only its product takes the bias along."""
    gated = layer.net[0].proj
    half = gated.out_features // 2
    places = states.reshape(-1, gated.in_features)
    shown = functional.linear(places, gated.weight[:half], gated.bias[:half])
    gate = functional.linear(places, gated.weight[half:], gated.bias[half:])
    answer: Tensor = layer.net[2](shown * functional.gelu(gate))
    return answer.reshape(states.shape)


def _double(layer: Any, axes: str, states: Tensor, *rest: Any, **named: Any) -> Tensor:
    weight = _add_taps(_add_taps(layer.conv.weight, 2), 3).transpose(0, 1)
    wide, high = int("x" in axes), int("y" in axes)  # a value from beyond each edge, and what it becomes cut off
    if axes:
        states = functional.pad(states, (wide, wide, high, high), mode="circular")
    return functional.conv_transpose2d(states, weight, layer.conv.bias, stride=2, padding=(1 + 2 * high, 1 + 2 * wide))


def _add_taps(weight: Tensor, axis: int) -> Tensor:
    """Three weights a, b, c along an axis of the enlarged map -> four of a transposed convolution with stride 2: the
    left place of a pair sees a of the value before and b + c of its own, the right one a + b and c of the next."""
    a, b, c = weight.unbind(axis)
    return torch.stack((c, b + c, a + b, a), axis)
