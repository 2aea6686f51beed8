"""LoRAs on a checkpoint: what peft can wear it wears, the rest is added to the weights and taken out to the bit.

schemas/weights/lora.py says what each key changes; exactly that is applied, and what peft made of it is counted again.
Plain pairs of factors go to peft, so that they go on and off without touching the checkpoint. LoHa, LoKr, CP factors,
full differences and DoRA (arXiv 2402.09353) are a difference of the weight at hand; with weight w the checkpoint's
weight becomes W + w (W' - W). What was there is kept in the host's memory and put back.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from schemas.errors import UnfitWeights
from schemas.weights.components import Components
from schemas.weights.header import remember_header
from schemas.weights.lora import LoraFit, Patch, fit_lora
from schemas.weights.lora_layouts import find_refused_layout

TEXT = ("text_encoder", "text_encoder_2")


@dataclass
class Lora:
    """One file, fitted to the checkpoint. Nothing is loaded yet."""

    path: Path
    fit: LoraFit

    def tensors(self, patch: Patch) -> dict[str, Tensor]:
        with safe_open(self.path, framework="pt") as opened:
            return {name: opened.get_tensor(key).float() for name, key in patch.factors.items()}


def read_lora(path: Path, components: Components, *, asker: str, alias: str) -> Lora:
    """Raises UnfitWeights, which counts the keys that would not apply."""
    try:
        header = remember_header(path)
        fault = f"it is {refused}" if (refused := find_refused_layout(header.tensors)) else ""
        fit = fit_lora(header, components)
    except UnfitWeights as wrong:
        raise UnfitWeights(f"{asker} asks for the LoRA {alias}: {wrong}") from None
    if fault := fault or fit.fault():
        raise UnfitWeights(f"{asker} asks for the LoRA {alias}: {fault}")
    return Lora(path, fit)


def load_by_peft(base: Any, lora: Lora, name: str) -> int:
    """Loads the plain pairs under this adapter's name; returns their bytes on the device.

    Raises UnfitWeights when another number of them was applied.
    """
    states: dict[str, dict[str, Tensor]] = {}
    expected: dict[str, int] = {}
    for patch in lora.fit.patches:
        if not _peft(patch):
            continue
        factors = lora.tensors(patch)
        scale = _scale(factors)
        state = states.setdefault(patch.component, {})
        at, expected[patch.component] = f"{patch.component}.{patch.module}", expected.get(patch.component, 0) + 1
        state[f"{at}.lora_A.weight"] = _as_module(factors["down"], patch, inner=True)
        state[f"{at}.lora_B.weight"] = _as_module(factors["up"] * scale, patch, inner=False)
    with warnings.catch_warnings():  # peft warns of a second adapter, which is what is wanted
        warnings.simplefilter("ignore")
        for component, state in states.items():
            part = getattr(base, component)
            if component == "unet":
                base.load_lora_into_unet(state, None, part, adapter_name=name)
            else:
                base.load_lora_into_text_encoder(state, None, part, prefix=component, adapter_name=name)
    for component, count in expected.items():
        made = sum(name in getattr(m, "lora_A", ()) for m in getattr(base, component).modules())
        if made != count:
            raise UnfitWeights(f"{lora.path}: {made} of {count} modules of the {component} were changed")
    return sum(tensor.numel() for state in states.values() for tensor in state.values()) * base.unet.dtype.itemsize


class Merges:
    """Differences that were added to the weights of one checkpoint, and the weights as they were."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
        """By component and weight: the parameter, and its copy."""

    def add(self, base: Any, lora: Lora, weight: float) -> None:
        for patch in lora.fit.patches:
            if _peft(patch):
                continue
            factors = lora.tensors(patch)
            module = getattr(base, patch.component).get_submodule(patch.module)
            module = getattr(module, "base_layer", module)
            if patch.kind != "diff" or "diff" in factors:
                parameter = self._keep(patch, "weight", module.weight)
                before = parameter.float()
                after = list_changed_weights(before, factors, patch.kind)
                parameter.copy_(before + weight * (after - before))
            if "diff_b" in factors:
                parameter = self._keep(patch, "bias", module.bias)
                parameter.copy_(parameter.float() + weight * factors["diff_b"].to(parameter.device))

    def take_out(self) -> None:
        for parameter, copy in self._kept.values():
            parameter.copy_(copy)
        self._kept.clear()

    def _keep(self, patch: Patch, name: str, parameter: Any) -> Tensor:
        data: Tensor = parameter.data
        self._kept.setdefault((patch.component, f"{patch.module}.{name}"), (data, data.to("cpu", copy=True)))
        return data


def list_changed_weights(weight: Tensor, factors: Mapping[str, Tensor], kind: str) -> Tensor:
    """W' of one module, in float32: the weight with the whole difference."""
    factors = {name: tensor.to(weight.device) for name, tensor in factors.items()}
    after = weight + (compute_difference(factors, kind) * _scale(factors)).reshape(weight.shape)
    if (magnitude := factors.get("magnitude")) is None:
        return after
    if magnitude.ndim > 1 and magnitude.shape[0] == 1 and magnitude.shape[1] == weight.shape[1]:
        norm = after.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *(1 for _ in weight.shape[2:]))
        return after * (magnitude.reshape(norm.shape) / norm)
    norm = after.flatten(1).norm(dim=1).reshape(-1, *(1 for _ in weight.shape[1:]))
    return after * (magnitude.reshape(norm.shape) / norm)


def compute_difference(factors: Mapping[str, Tensor], kind: str) -> Tensor:
    """What the factors multiply to, without alpha: [out, in, *kernel] or [out, in * kernel]."""
    if kind == "diff":
        return factors["diff"]
    if kind == "loha":
        return _half(factors, "1") * _half(factors, "2")
    if kind == "lokr":
        first = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
        if "lokr_t2" in factors:
            second = _tucker(factors["lokr_t2"], factors["lokr_w2_b"], factors["lokr_w2_a"])
        elif "lokr_w2" in factors:
            second = factors["lokr_w2"]
        else:
            second = (factors["lokr_w2_a"] @ factors["lokr_w2_b"].flatten(1)).reshape(
                factors["lokr_w2_a"].shape[0], *factors["lokr_w2_b"].shape[1:]
            )
        return torch.kron(first.reshape(*first.shape, *(1 for _ in second.shape[2:])), second.contiguous())
    down, up = factors["down"], factors["up"].flatten(1)
    if "mid" in factors:
        return torch.einsum("or,rskl,si->oikl", up, factors["mid"], down.flatten(1))
    return up @ down.flatten(1)


def _half(factors: Mapping[str, Tensor], number: str) -> Tensor:
    a, b = factors[f"hada_w{number}_a"], factors[f"hada_w{number}_b"]
    return _tucker(factors[f"hada_t{number}"], b, a) if f"hada_t{number}" in factors else a @ b


def _tucker(core: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """LyCORIS's `rebuild_tucker`: core [i, j, k, l], outer [i, out], inner [j, in] -> [out, in, k, l]."""
    return torch.einsum("ijkl,jr,ip->prkl", core, inner, outer)


def _scale(factors: Mapping[str, Tensor]) -> float:
    """alpha over the rank, as each kind counts its rank; a full LoKr and a full difference have none."""
    scalar = float(factors["scalar"]) if "scalar" in factors else 1.0
    if "alpha" not in factors:
        return scalar
    rank = next((factors[n].shape[axis] for n, axis in _RANKS if n in factors), None)
    return scalar * (float(factors["alpha"]) / rank if rank else 1.0)


_RANKS: Sequence[tuple[str, int]] = (("down", 0), ("hada_w1_b", 0), ("lokr_w1_b", 0), ("lokr_w2_b", 0))


def _peft(patch: Patch) -> bool:
    return patch.plain and "magnitude" not in patch.factors


def _as_module(factor: Tensor, patch: Patch, *, inner: bool) -> Tensor:
    """As peft keeps it: matrices; of a convolution the inner factor has its kernel, the outer one is 1 x 1."""
    if len(patch.shape) == 2:
        return factor.flatten(1).contiguous()
    kernel = patch.shape[2:] if inner else (1, 1)
    return factor.reshape(factor.shape[0], -1, *kernel).contiguous()
