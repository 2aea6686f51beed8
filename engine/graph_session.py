"""A network's graph with the weights that it wears now, run by ONNX Runtime in the place of its `forward`.

The weights are PyTorch's own memory; LoRAs that peft wears are added to them first. ONNX Runtime lays constants out
for its kernels, which takes the weights' bytes once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from engine.denoiser_graph import EMBEDDING, PREFIX, list_inputs, list_outputs, shape_residuals
from engine.graph_layers import GraphKind
from engine.windows import find_grain, replace_forward

PROVIDER = "CPUExecutionProvider"


class _Session:
    """One set of weights. The network must not lose them while it is used. `kind`: of the graph in `file`."""

    def __init__(self, network: Any, file: Path, kind: GraphKind) -> None:
        self.network, self.kind, self.inputs = network, kind, list_inputs(network)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.force_spinning_stop", "1")  # PyTorch works between two steps
        options.log_severity_level = 3
        weights = list_weights(network)
        self.bytes = sum(weight.nbytes for weight in weights.values())
        self._held = [onnxruntime.OrtValue.ortvalue_from_numpy(weight.numpy()) for weight in weights.values()]
        options.add_external_initializers([f"{PREFIX}{name}" for name in weights], self._held)
        self._session = onnxruntime.InferenceSession(str(file), options, providers=[PROVIDER])
        if self._session.get_providers() != [PROVIDER]:
            raise RuntimeError(f"ONNX Runtime took {self._session.get_providers()}; expected {PROVIDER}")

    def used(self) -> AbstractContextManager[None]:
        """Within it this graph answers for its network. Hooks on the network see the calls as before."""
        return replace_forward(self.network, self.forward)

    def forward(self, *given: Any, **more: Any) -> Any:
        raise NotImplementedError

    def _run(self, given: Sequence[Tensor], answers: Mapping[str, Tensor]) -> None:
        """`given` as `list_inputs` names them; `answers` are written."""
        given = [tensor.to(torch.float32).contiguous() for tensor in given]
        binding = self._session.io_binding()
        for name, tensor in zip(self.inputs, given, strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
        for name, tensor in answers.items():
            binding.bind_output(name, "cpu", 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
        self._session.run_with_iobinding(binding)


class UNetSession(_Session):
    """A UNet's."""

    def __init__(self, network: Any, file: Path, kind: GraphKind) -> None:
        super().__init__(network, file, kind)
        self.middle: Tensor | None = None
        """[rows, channels, 1, 1]: the mean of what the middle block said in the last call (engine/vectors.py)."""
        self._zeros: tuple[tuple[int, int, int], list[Tensor]] | None = None

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
        _refuse(rest)
        rows, _, height, width = sample.shape
        if self.kind.halves and (height % (grain := find_grain(self.network)) or width % grain):
            raise ValueError(f"got {height} x {width} latents for a graph of sides that are multiples of {grain}")
        residuals = self._no_residuals(rows, height, width)
        if down_block_additional_residuals is not None and mid_block_additional_residual is not None:
            residuals = [*down_block_additional_residuals, mid_block_additional_residual]
        answers = {"answer": torch.empty(rows, self.network.config.out_channels, height, width)}
        if "middle" in list_outputs(self.network):
            answers["middle"] = torch.empty(rows, self.network.config.block_out_channels[-1])
            self.middle = answers["middle"][..., None, None]
        given = [sample, _to_time(timestep), encoder_hidden_states, *_list_sizes(added_cond_kwargs), *residuals]
        self._run(given, answers)
        return (answers["answer"],)

    def _no_residuals(self, rows: int, height: int, width: int) -> list[Tensor]:
        shape = (rows, height, width)
        if self._zeros is None or self._zeros[0] != shape:
            self._zeros = shape, [torch.zeros(one) for one in shape_residuals(self.network, *shape)]
        return self._zeros[1]


class ControlNetSession(_Session):
    """A ControlNet's, but for its condition's embedding."""

    def forward(
        self,
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        *,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        guess_mode: bool = False,
        return_dict: bool = True,
        **rest: Any,
    ) -> tuple[list[Tensor], Tensor]:
        """As ControlNetModel.forward, unscaled. Raises ValueError for an input that the graph does not have."""
        _refuse(rest | {"guess_mode": guess_mode or None})
        condition = self.network.controlnet_cond_embedding(controlnet_cond)
        rows, _, height, width = sample.shape
        shapes = shape_residuals(self.network, rows, height, width)
        answers = {name: torch.empty(shape) for name, shape in zip(list_outputs(self.network), shapes, strict=True)}
        given = [sample, _to_time(timestep), encoder_hidden_states, *_list_sizes(added_cond_kwargs), condition]
        self._run(given, answers)
        *downs, mid = answers.values()
        return downs, mid


def _refuse(rest: Mapping[str, Any]) -> None:
    if unknown := sorted(name for name, value in rest.items() if value is not None):
        raise ValueError(f"got {', '.join(unknown)} for a graph that has no such input")


def _to_time(timestep: Any) -> Tensor:
    return torch.as_tensor(timestep, dtype=torch.float32).reshape(())


def _list_sizes(given: dict[str, Tensor] | None) -> list[Tensor]:
    return [given[name] for name in ("text_embeds", "time_ids")] if given else []


def list_weights(network: Any) -> dict[str, Tensor]:
    """Of a graph: by the name that each has without LoRAs, with the LoRAs that peft wears added to it; on the CPU,
    contiguous."""
    found = {
        name.replace(".base_layer.", "."): parameter.detach()
        for name, parameter in network.named_parameters()
        if ".lora_" not in name and not name.startswith(EMBEDDING)
    }
    for name, layer in network.named_modules():
        if not hasattr(layer, "base_layer") or layer.disable_adapters:
            continue
        for adapter in layer.active_adapters:
            if adapter in layer.lora_A:
                found[f"{name}.weight"] = found[f"{name}.weight"] + layer.get_delta_weight(adapter).detach()
    return {name: weight.contiguous() for name, weight in found.items()}
