"""Several ControlNets as one, in diffusers' pipelines: what need not be computed is not, unions included.

A union (ControlNetUnionModel) knows several conditions; those that are given to the same union go into one forward,
as in diffusers' own union pipeline. A condition is skipped where its scale is 0, before its start and after its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from torch import Tensor, nn


class Remembered(nn.Module):
    """A ControlNet's condition embedding, computed once for a condition and not again at every step."""

    KEPT = 4

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(self, condition: Tensor) -> Tensor:
        known = self._known.get(id(condition))
        if known is None or known[0] is not condition:
            if len(self._known) >= self.KEPT:
                self._known.clear()
            known = self._known[id(condition)] = (condition, self.embedding(condition))
        return known[1]

    def forget(self) -> None:
        self._known.clear()


class Controls(MultiControlNetModel):
    """`modes`: for each net the condition's number in its union, or None for an ordinary ControlNet.

    An ordinary one's scale is a row's own (`take_scales`). A union mixes its conditions by numbers for all rows.
    """

    def __init__(self, nets: Sequence[Any], modes: Sequence[int | None]) -> None:
        super().__init__(list(nets))
        self.modes = tuple(modes)
        self._scales: tuple[Tensor, ...] = ()

    def take_scales(self, rows: Sequence[Sequence[float]], *, device: torch.device) -> list[float]:
        """Each row's scale for each net. What the pipeline is to be called with, which says when a net is at work."""
        by_net = list(zip(*rows, strict=True))
        self._scales = tuple(torch.tensor(scales, device=device).reshape(-1, 1, 1, 1) for scales in by_net)
        return [
            scales[0] if mode is not None else float(any(scales))
            for scales, mode in zip(by_net, self.modes, strict=True)
        ]

    def forward(self, sample: Tensor, timestep: Any, encoder_hidden_states: Tensor, controlnet_cond: list[Tensor],
                conditioning_scale: list[float], **rest: Any) -> tuple[Any, Any]:  # fmt: skip
        downs: list[Tensor] | None = None
        mid: Tensor | None = None
        for net, given, scale in self._passes(sample, controlnet_cond, conditioning_scale):
            more, middle = net(sample, timestep, encoder_hidden_states, **given, **rest)
            if scale is not None:
                for part in (*more, middle):
                    part.mul_(scale)  # it is this call's own
            downs = list(more) if downs is None else [a + b for a, b in zip(downs, more, strict=True)]
            mid = middle if mid is None else mid + middle
        return downs, mid

    def _passes(
        self, sample: Tensor, conditions: list[Tensor], scales: list[float]
    ) -> Iterator[tuple[Any, dict[str, Any], Tensor | float | None]]:
        """Each forward pass that is needed: the net, its own arguments, and what its answer is to be multiplied by (a
        union has done so)."""
        active = [n for n, scale in enumerate(scales) if scale != 0]
        for first in active:
            net, mode = self.nets[first], self.modes[first]
            if mode is None:
                yield net, {"controlnet_cond": conditions[first]}, scales[first] * self._spread(first, len(sample))
                continue
            together = [n for n in active if self.nets[n] is net]
            if together[0] != first:
                continue  # went with the first of its union
            modes = [self.modes[n] for n in together]
            kinds = torch.zeros(net.config.num_control_type, device=sample.device, dtype=sample.dtype)
            kinds[modes] = 1
            yield (
                net,
                {
                    "controlnet_cond": [conditions[n] for n in together],
                    "control_type": kinds.repeat(sample.shape[0], 1),
                    "control_type_idx": modes,
                    "conditioning_scale": [float(scales[n]) for n in together],
                },
                None,
            )

    def _spread(self, number: int, rows: int) -> Tensor | float:
        """Scales of a net's rows, in both halves of guidance."""
        if not self._scales:
            return 1.0
        own = self._scales[number]
        return own.repeat(rows // len(own), 1, 1, 1)
