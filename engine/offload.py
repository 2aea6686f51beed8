"""Idle weights are offloaded from the device, where engine/memory.py has decided so.

By hooks of accelerate (`cpu_offload_with_hook`) and diffusers (group offloading, leaf by leaf, with a second stream),
as its pipelines' own `enable_model_cpu_offload` and `enable_group_offload` do; set on the parts, because many pipelines
here share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from accelerate import cpu_offload_with_hook
from accelerate.hooks import remove_hook_from_module
from diffusers.hooks import apply_group_offloading

from engine.memory import UNLIMITED, Placement, Policy

LEAVING = ("text_encoder", "text_encoder_2", "vae")
"""Parts of a pipeline that work in turns with the denoisers."""


class OffloadedModels:
    """Where the parts of the pipeline in use are. Nothing moves while everything is resident."""

    def __init__(self, device: torch.device) -> None:
        if device.type == "cuda" and device.index is None:  # accelerate compares devices at every forward pass
            device = torch.device("cuda", torch.cuda.current_device())
        self.device, self.policy = device, UNLIMITED
        self._hooks: dict[int, tuple[str, Any]] = {}
        """By the part's identity: its name, and accelerate's hook."""

    @property
    def moving(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._hooks.values())

    def lift(self) -> None:
        """Hooks off: LoRAs change the modules, and diffusers would put its own hooks back."""
        for _, hook in self._hooks.values():
            remove_hook_from_module(hook.model)
        self._hooks = {}

    def settle(self, parts: Mapping[str, Any], nets: Iterable[Any], policy: Policy) -> None:
        """The parts of one pipeline and its ControlNets, as the policy says; ControlNets not in use rest."""
        self.policy, staying = policy, policy.placement is Placement.RESIDENT
        if staying and not self._hooks:
            return
        turns = {id(parts[name]): (name, parts[name]) for name in LEAVING if parts.get(name) is not None}
        denoisers = {id(part): ("denoiser", part) for part in (parts["unet"], *nets)}
        if policy.placement is Placement.STREAMED:
            for _, part in denoisers.values():
                self._stream(part)
        else:
            turns |= denoisers
        for key, (_, hook) in list(self._hooks.items()):
            if staying or key not in turns:
                hook.offload()
                remove_hook_from_module(hook.model)
                del self._hooks[key]
        for key, (name, part) in turns.items():
            if staying:
                part.to(self.device)
            elif key not in self._hooks:
                _, hook = cpu_offload_with_hook(part, self.device)
                hook.offload()
                self._hooks[key] = (name, hook)

    def rest(self, *names: str) -> None:
        """These leave the device now, where they may."""
        for name, hook in self._hooks.values():
            if name in names:
                hook.offload()

    def _stream(self, part: Any) -> None:
        if getattr(part, "streamed", False):
            return
        part.to("cpu")
        stream = self.device.type == "cuda"
        apply_group_offloading(
            part, onload_device=self.device, offload_type="leaf_level", use_stream=stream, record_stream=stream
        )
        part.streamed = True
