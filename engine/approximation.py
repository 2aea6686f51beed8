"""What a step takes over from a step before it: approximations that a manifest asks for, gone with the batch.

DeepCache (arXiv 2312.00858): every `cache_interval`-th step is computed whole. In the steps between, only what lies
above skip connection `cache_branch_id` is computed; everything deeper gives again what it gave last, ControlNets too.
T-GATE (arXiv 2404.02747): after `tgate_after` of the steps the cross-attention layers give again the mean of what they
gave with and without the prompt, and guidance ends (engine/guidance.py).

Forwards of the real UNet's parts are overridden and given back, so that every pipeline can do it. A step is computed
whole as well where its rows or its ControlNets' scales are not those of the step before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from schemas.errors import RenderError
from schemas.spec import Approximation, ImageSpec


@contextmanager
def use_approximation(pipe: Any, spec: ImageSpec, *, rows: int) -> Iterator[None]:
    """Within it, `pipe` computes as the spec's approximation says. To be entered inside of `use_guidance`, whose hooks
    change the rows first. Raises RenderError for a branch that the UNet lacks, and where weights are streamed."""
    if spec.approximation is None:
        yield
        return
    if getattr(pipe.unet, "streamed", False):  # what its predecessor has fetched and nobody runs would stay there
        raise RenderError(
            f"{spec.asset}: got an approximation where weights come layer by layer (docs/performance.md); expected "
            "none, or a device with more memory"
        )
    reuse = _Reuse(pipe, spec, rows)
    hooks = [
        pipe.unet.register_forward_pre_hook(reuse.before, with_kwargs=True),
        pipe.unet.register_forward_hook(reuse.after),
    ]
    if reuse.controls:
        hooks.append(pipe.controlnet.register_forward_pre_hook(reuse.before_controls, with_kwargs=True))
    try:
        yield
    finally:
        for part in reuse.parts:
            part.restore()
        for hook in hooks:
            hook.remove()


def list_deep_modules(unet: Any, branch: int) -> list[nn.Module]:
    """Everything deeper than skip connection `branch`: conv_in's is 0, then each resnet's and each downsampler's.

    Raises ValueError, saying which branches there are; below the last one only the middle block would be left.
    """
    sides = [[*_layers(block), *([d] for d in block.downsamplers or ())] for block in unet.down_blocks]
    skips = 1 + sum(map(len, sides))
    if branch > skips - 2:
        raise ValueError(f"got cache_branch_id {branch}; expected 0 to {skips - 2}")
    deep: list[nn.Module] = [unet.mid_block]
    skip = 0  # the skip connection that was made last
    for block, layers in zip(unet.down_blocks, sides, strict=True):
        if skip >= branch:
            deep.append(block)
        else:
            deep += [part for layer in layers[branch - skip :] for part in layer]
        skip += len(layers)
    for block in unet.up_blocks:
        layers = _layers(block)
        skip -= len(layers)  # the skip connection that the block's last layer takes
        if skip + 1 > branch:
            deep.append(block)
        else:
            deep += [part for layer in layers[: max(0, skip + len(layers) - branch)] for part in layer]
    return deep


def _layers(block: Any) -> list[list[nn.Module]]:
    attentions = getattr(block, "attentions", None)
    pairs = zip(block.resnets, attentions, strict=True) if attentions else ((resnet,) for resnet in block.resnets)
    return [list(pair) for pair in pairs]


class _Mode(Enum):
    COMPUTE = "compute"
    KEEP = "compute, and keep the answer"
    REPEAT = "give the kept answer again"


class _Part:
    """A module whose forward may give an earlier answer again. Windows (engine/windows.py) call it several times a
    step, so that there is an answer for each call of a step."""

    def __init__(self, module: nn.Module, shorten: Callable[[Any], Any] | None = None) -> None:
        self.module, self.shorten = module, shorten
        self.own = module.__dict__.get("forward")
        self.compute = module.forward
        self.answers: list[Any] = []
        self.begin(_Mode.COMPUTE)
        # compiled blocks (engine/compiling.py) have cross-attention inside
        module.forward = torch.compiler.disable(self.forward) if shorten else self.forward

    def begin(self, mode: _Mode) -> None:
        self.mode, self.calls = mode, 0

    def forward(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if self.mode is _Mode.REPEAT:
            return self.answers[self.calls - 1]
        answer = self.compute(*given, **named)
        if self.mode is _Mode.KEEP:
            if self.calls == 1:  # not in `begin`: a step may compute some layers only
                self.answers = []
            self.answers.append(self.shorten(answer) if self.shorten else answer)
        return answer

    def restore(self) -> None:
        if self.own is None:
            del self.module.forward
        else:
            self.module.forward = self.own


class _Reuse:
    """Counts the steps of one call; the UNet runs once for each entry of the scheduler's timesteps."""

    def __init__(self, pipe: Any, spec: ImageSpec, rows: int) -> None:
        assert spec.approximation is not None
        self.pipe, self.spec, self.rows, self.step = pipe, spec, rows, 0
        self.asked: Approximation = spec.approximation
        deep: Iterable[nn.Module] = ()
        if self.asked.cache_interval > 1:
            try:
                deep = list_deep_modules(pipe.unet, self.asked.cache_branch_id)
            except ValueError as wrong:
                raise RenderError(f"{spec.asset}: {wrong} for {spec.model.alias}") from None
        cross = _list_cross_attention(pipe.unet) if self.asked.tgate_after < 1 else ()
        self.deep = [_Part(module) for module in deep]
        self.cross = [_Part(module, self._shorten) for module in cross]
        self.controls = [_Part(pipe.controlnet)] if self.deep and spec.controlnets else []
        self._seen: tuple[object, ...] = ()
        self._seen_controls: tuple[object, ...] = ()
        self._changed = False

    @property
    def parts(self) -> list[_Part]:
        return [*self.deep, *self.cross, *self.controls]

    @property
    def _is_due(self) -> bool:
        return self.step % self.asked.cache_interval == 0

    def before_controls(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Called ahead of the UNet in each step."""
        seen = (_sample(given, named).shape[0], *named["conditioning_scale"])
        self._changed, self._seen_controls = seen != self._seen_controls, seen
        for part in self.controls:
            part.begin(_Mode.KEEP if self._is_due or self._changed else _Mode.REPEAT)

    def before(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen = (_sample(given, named).shape[0],)
        whole = self._is_due or self._changed or seen != self._seen
        self._seen = seen
        for part in self.deep:
            part.begin(_Mode.KEEP if whole else _Mode.REPEAT)
        mode = _Mode.REPEAT if self._is_gated(self.step) else _Mode.COMPUTE
        if mode is _Mode.COMPUTE and self._is_gated(self.step + self.asked.cache_interval):
            mode = _Mode.KEEP  # in one of these steps every layer is computed for the last time
        for part in self.cross:
            part.begin(mode)

    def after(self, module: Any, given: Any, said: Any) -> None:
        self.step += 1

    def _is_gated(self, step: int) -> bool:
        """As guidance's interval counts: a step is computed when it lies wholly before. Raises RenderError where none
        does."""
        steps = self.pipe.num_timesteps
        gated: bool = (step + 1) / steps > self.asked.tgate_after
        if gated and step == 0:
            raise RenderError(
                f"{self.spec.asset}: got tgate_after {self.asked.tgate_after:g} of {steps} steps, which is none; "
                f"expected {1 / steps:.3g} or more"
            )
        return gated

    def _shorten(self, answer: Tensor) -> Tensor:
        """One row an image: the mean of both halves under guidance, without what PAG has perturbed."""
        parts = answer.split(self.rows)
        guided = self.spec.guidance_scale > 1 and len(parts) > 1
        return (parts[0] + parts[1]) / 2 if guided else parts[0]


def _list_cross_attention(unet: Any) -> list[nn.Module]:
    return [module for module in unet.modules() if isinstance(module, Attention) and module.is_cross_attention]


def _sample(given: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    sample: Tensor = named["sample"] if "sample" in named else given[0]
    return sample
