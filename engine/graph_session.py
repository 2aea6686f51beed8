"""A UNet's graph with the weights that the checkpoint wears now, run by ONNX Runtime in the place of `unet.forward`.

The weights are PyTorch's own memory; LoRAs that peft wears are added to them first. ONNX Runtime lays constants out
for its kernels, which takes the weights' bytes once more.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from engine.denoiser_graph import list_inputs, list_outputs, make_residuals
from engine.graph_layers import GraphKind
from engine.windows import find_grain, replace_forward

PROVIDER = "CPUExecutionProvider"


class GraphSession:
    """One set of weights. The UNet must not lose them while it is used. `kind`: of the graph in `file`."""

    def __init__(self, unet: Any, file: Path, kind: GraphKind) -> None:
        self.unet, self.kind, self.inputs = unet, kind, list_inputs(unet)
        self.bytes = sum(parameter.numel() * 4 for parameter in unet.parameters())
        self.middle: Tensor | None = None
        """[rows, channels, 1, 1]: the mean of what the middle block said in the last call (engine/vectors.py)."""
        self._zeros: tuple[tuple[int, int, int], list[Tensor]] | None = None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.force_spinning_stop", "1")  # PyTorch works between two steps
        options.log_severity_level = 3
        weights = list_weights(unet)
        self._held = [onnxruntime.OrtValue.ortvalue_from_numpy(weight.numpy()) for weight in weights.values()]
        options.add_external_initializers([f"unet.{name}" for name in weights], self._held)
        self._session = onnxruntime.InferenceSession(str(file), options, providers=[PROVIDER])
        if self._session.get_providers() != [PROVIDER]:
            raise RuntimeError(f"ONNX Runtime took {self._session.get_providers()}; expected {PROVIDER}")

    def used(self) -> AbstractContextManager[None]:
        """Within it this graph answers for its UNet. Hooks on the UNet see the calls as before."""
        return replace_forward(self.unet, self.forward)

    def forward(
        self,
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        *,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        down_block_additional_residuals: Any = None,
        mid_block_additional_residual: Tensor | None = None,
        return_dict: bool = True,
        **rest: Any,
    ) -> tuple[Tensor]:
        """As UNet2DConditionModel.forward. Raises ValueError for an input that the graph does not have, and for a side
        that does not halve evenly where it must."""
        if unknown := sorted(name for name, value in rest.items() if value is not None):
            raise ValueError(f"got {', '.join(unknown)} for a graph that has no such input")
        rows, _, height, width = sample.shape
        if self.kind.halves and (height % (grain := find_grain(self.unet)) or width % grain):
            raise ValueError(f"got {height} x {width} latents for a graph of sides that are multiples of {grain}")
        residuals = self._no_residuals(rows, height, width)
        if down_block_additional_residuals is not None and mid_block_additional_residual is not None:
            residuals = [*down_block_additional_residuals, mid_block_additional_residual]
        time = torch.as_tensor(timestep, dtype=torch.float32).reshape(())
        sizes = [added_cond_kwargs[name] for name in ("text_embeds", "time_ids")] if added_cond_kwargs else []
        given = [sample, time, encoder_hidden_states, *sizes, *residuals]
        given = [tensor.to(torch.float32).contiguous() for tensor in given]
        answer = torch.empty(rows, self.unet.config.out_channels, height, width)
        binding = self._session.io_binding()
        for name, tensor in zip(self.inputs, given, strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
        binding.bind_output("answer", "cpu", 0, np.float32, tuple(answer.shape), answer.data_ptr())
        if "middle" in list_outputs(self.unet):
            self.middle = torch.empty(rows, self.unet.config.block_out_channels[-1], 1, 1)
            place = (rows, self.middle.shape[1])
            binding.bind_output("middle", "cpu", 0, np.float32, place, self.middle.data_ptr())
        self._session.run_with_iobinding(binding)
        return (answer,)

    def _no_residuals(self, rows: int, height: int, width: int) -> list[Tensor]:
        shape = (rows, height, width)
        if self._zeros is None or self._zeros[0] != shape:
            self._zeros = shape, make_residuals(self.unet, *shape)
        return self._zeros[1]


def list_weights(unet: Any) -> dict[str, Tensor]:
    """By the name that each has without LoRAs, with the LoRAs that peft wears added to it; on the CPU, contiguous."""
    found = {
        name.replace(".base_layer.", "."): parameter.detach()
        for name, parameter in unet.named_parameters()
        if ".lora_" not in name
    }
    for name, layer in unet.named_modules():
        if not hasattr(layer, "base_layer") or layer.disable_adapters:
            continue
        for adapter in layer.active_adapters:
            if adapter in layer.lora_A:
                found[f"{name}.weight"] = found[f"{name}.weight"] + layer.get_delta_weight(adapter).detach()
    return {name: weight.contiguous() for name, weight in found.items()}
