"""A UNet as an ONNX graph without weights: one file for every checkpoint of the same shape and every LoRA set.

The graph is traced from a UNet that holds no values and kept in a folder by the digest of what it was made from. The
weights are handed over when a session is opened (engine/graph_session.py), so that a graph can never bring the wrong
ones and none lies on the disk twice. Rows, sides and prompt length are free. ControlNets' residuals are inputs, zeros
where there is none: adding them costs less than a second session.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from engine.graph_layers import GraphKind, rewrite_layers
from engine.seamless import use_circular_padding
from engine.vectors import watch_middle_block
from engine.windows import find_grain

REVISION = 4
"""Of this file and engine/graph_layers.py: what changes the graph goes with another number."""
OPSET = 18
WEIGHTS = "weights"
"""The file that the graph names for its weights. There is none: they are handed over."""
ROWS, TOKENS = 2, 77
"""Of a trace."""


def make_sides(unet: Any, kind: GraphKind) -> tuple[int, int]:
    """Latents high and wide, small, of a graph's kind."""
    grain = find_grain(unet)
    return (2 * grain, 3 * grain) if kind.halves else (2 * grain - 1, 3 * grain - 1)


def find_unknown_input(unet: Any) -> str:
    """What this UNet wants beside noise, time, text and sizes, which the graph does not have; empty when nothing."""
    config = unet.config
    for name in ("class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim", "num_class_embeds"):
        if config.get(name) is not None:
            return f"{name} of the UNet"
    kind = config.get("addition_embed_type")
    return "" if kind in (None, "text_time") else f"addition_embed_type {kind} of the UNet"


def list_inputs(unet: Any) -> list[str]:
    residuals = [f"residual_{number}" for number in range(len(list_residuals(unet)))]
    return ["sample", "timestep", *shape_text(unet, rows=1), *residuals]


def list_outputs(unet: Any) -> list[str]:
    return ["answer"] if unet.mid_block is None else ["answer", "middle"]


def list_residuals(unet: Any) -> list[tuple[int, int]]:
    """Channels, and latents to one value along a side, of what a ControlNet adds to the UNet's skips and middle."""
    found, step = [(unet.conv_in.out_channels, 1)], 1
    for block in unet.down_blocks:
        found += [(resnet.out_channels, step) for resnet in block.resnets]
        if block.downsamplers:
            step *= 2
            found.append((block.downsamplers[0].out_channels, step))
    return [*found, (unet.config.block_out_channels[-1], step)]


def make_residuals(unet: Any, rows: int, height: int, width: int) -> list[Tensor]:
    """Zeros: no ControlNet. Sides in latents."""
    return [
        torch.zeros(rows, channels, -(-height // step), -(-width // step)) for channels, step in list_residuals(unet)
    ]


def shape_text(unet: Any, *, rows: int, tokens: int = 77) -> dict[str, tuple[int, ...]]:
    """Of the prompt's states and, in SDXL, of the pooled prompt and the six numbers of the sizes."""
    config, width = unet.config, unet.config.cross_attention_dim
    shapes: dict[str, tuple[int, ...]] = {
        "encoder_hidden_states": (rows, tokens, width if isinstance(width, int) else width[0])
    }
    if config.addition_embed_type:
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        shapes |= {"text_embeds": (rows, pooled), "time_ids": (rows, 6)}
    return shapes


def make_digest(unet: Any, kind: GraphKind) -> str:
    """Of everything that the graph is made from."""
    shape = {name: value for name, value in dict(unet.config).items() if not name.startswith("_")}
    made_by = [REVISION, OPSET, torch.__version__, diffusers.__version__, kind.halves, kind.axes]
    return hashlib.sha256(json.dumps([made_by, shape], sort_keys=True, default=str).encode()).hexdigest()


def keep_graph(unet: Any, file: Path, kind: GraphKind) -> None:
    """Traces a UNet of the same shape as `unet` and writes its graph, in one step, so that no process reads half."""
    body = _name_weights(_trace(unet, kind))
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_bytes(body)
    new.replace(file)


def _trace(unet: Any, kind: GraphKind) -> bytes:
    """By PyTorch's older exporter: 5 s where the newer one takes 60 s, the same speed and error (docs/performance.md).

    With `export_params=False` the weights become inputs that bear their names.
    """
    with torch.device("meta"):  # nothing is initialised
        empty = UNet2DConditionModel.from_config(unet.config)
    network = _Flat(empty.to_empty(device="cpu").eval())
    for number, parameter in enumerate(network.parameters()):  # the exporter makes one of those that are equal
        parameter.data.view(-1)[0] = number
    rewrite_layers(empty, kind)
    height, width = make_sides(empty, kind)
    names = list_inputs(empty)
    shapes = {"sample": (ROWS, empty.config.in_channels, height, width), "timestep": ()}
    shapes |= shape_text(empty, rows=ROWS, tokens=TOKENS)
    given = [*(torch.zeros(shape) for shape in shapes.values()), *make_residuals(empty, ROWS, height, width)]
    free = {name: _free_axes(name) for name in names if name != "timestep"}
    with (
        tempfile.TemporaryDirectory() as folder,
        use_circular_padding([empty], kind.axes),
        torch.no_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of the exporter's age, and of sides that the trace has as numbers
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            network, tuple(given), file, dynamo=False, export_params=False, do_constant_folding=False,
            input_names=names, output_names=list_outputs(empty), opset_version=OPSET, dynamic_axes=free,
        )  # fmt: skip
        return file.read_bytes()


def _name_weights(body: bytes) -> bytes:
    """The weights as constants that lie elsewhere, instead of inputs: only constants are laid out for speed."""
    import onnx

    model = onnx.load_from_string(body)
    inputs, prefix = list(model.graph.input), "unet."
    del model.graph.input[:]
    for given in inputs:
        if not given.name.startswith(prefix):
            model.graph.input.append(given)
            continue
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = given.name, given.type.tensor_type.elem_type
        tensor.dims.extend(axis.dim_value for axis in given.type.tensor_type.shape.dim)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=WEIGHTS)
    return bytes(model.SerializeToString())


class _Flat(nn.Module):
    """A UNet with its inputs in a row, as `list_inputs` names them. It answers also with the mean over all places of
    what its middle block says (engine/vectors.py)."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet
        self._sizes = "time_ids" in list_inputs(unet)

    def forward(self, sample: Tensor, timestep: Tensor, states: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        sizes, residuals = (rest[:2], rest[2:]) if self._sizes else ((), rest)
        with watch_middle_block(self.unet) as middle:
            answer: Tensor = self.unet(
                sample,
                timestep,
                states,
                added_cond_kwargs=dict(zip(("text_embeds", "time_ids"), sizes, strict=True)) if sizes else None,
                down_block_additional_residuals=residuals[:-1],
                mid_block_additional_residual=residuals[-1],
                return_dict=False,
            )[0]
        return (answer,) if middle.output is None else (answer, middle.output.mean(dim=(2, 3)))


def _free_axes(name: str) -> dict[int, str]:
    if name == "sample" or name.startswith("residual"):
        return {0: "rows", 2: f"{name}_height", 3: f"{name}_width"}
    return {0: "rows", 1: "tokens"} if name == "encoder_hidden_states" else {0: "rows"}
