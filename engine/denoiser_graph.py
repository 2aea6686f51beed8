"""A UNet or a ControlNet as an ONNX graph without weights: one for all of the same shape and for every LoRA set.

The graph is traced from a network that holds no values and kept in a folder by the digest of what it was made from. The
weights are handed over when a session is opened (engine/graph_session.py), so that a graph can never bring the wrong
ones and none lies on the disk twice. Rows, sides and prompt length are free. ControlNets' residuals are inputs of a
UNet's, zeros where there is none: adding them costs less than a second session. A ControlNet's graph gives them
unscaled and takes its condition embedded, which is done once a batch (engine/controlnets.py).
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
from diffusers import ControlNetModel, UNet2DConditionModel
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
PREFIX = "network."
"""Of a weight's name in a graph."""
EMBEDDING = "controlnet_cond_embedding"
"""The part of a ControlNet that is not in its graph."""
ROWS, TOKENS = 2, 77
"""Of a trace."""


def make_sides(network: Any, kind: GraphKind) -> tuple[int, int]:
    """Latents high and wide, small, of a graph's kind."""
    grain = find_grain(network)
    return (2 * grain, 3 * grain) if kind.halves else (2 * grain - 1, 3 * grain - 1)


def find_unknown_input(network: Any) -> str:
    """What this network wants beside noise, time, text, sizes and a condition, which the graph does not have; empty
    when nothing."""
    config, name_of = network.config, "ControlNet" if is_controlnet(network) else "UNet"
    if not isinstance(network, ControlNetModel | UNet2DConditionModel):
        return type(network).__name__
    wanted = ("class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim", "num_class_embeds")
    for name in (*wanted, "global_pool_conditions"):
        if config.get(name):
            return f"{name} of the {name_of}"
    kind = config.get("addition_embed_type")
    return "" if kind in (None, "text_time") else f"addition_embed_type {kind} of the {name_of}"


def is_controlnet(network: Any) -> bool:
    return isinstance(network, ControlNetModel)


def list_inputs(network: Any) -> list[str]:
    more = ["condition"] if is_controlnet(network) else _name_residuals(network)
    return ["sample", "timestep", *shape_text(network, rows=1), *more]


def list_outputs(network: Any) -> list[str]:
    if is_controlnet(network):
        return _name_residuals(network)
    return ["answer"] if network.mid_block is None else ["answer", "middle"]


def _name_residuals(network: Any) -> list[str]:
    return [f"residual_{number}" for number in range(len(list_residuals(network)))]


def list_residuals(network: Any) -> list[tuple[int, int]]:
    """Channels, and latents to one value along a side, of what a ControlNet adds to the UNet's skips and middle."""
    found, step = [(network.conv_in.out_channels, 1)], 1
    for block in network.down_blocks:
        found += [(resnet.out_channels, step) for resnet in block.resnets]
        if block.downsamplers:
            step *= 2
            found.append((block.downsamplers[0].out_channels, step))
    return [*found, (network.config.block_out_channels[-1], step)]


def shape_residuals(network: Any, rows: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Sides in latents."""
    return [(rows, channels, -(-height // step), -(-width // step)) for channels, step in list_residuals(network)]


def shape_text(network: Any, *, rows: int, tokens: int = 77) -> dict[str, tuple[int, ...]]:
    """Of the prompt's states and, in SDXL, of the pooled prompt and the six numbers of the sizes."""
    config, width = network.config, network.config.cross_attention_dim
    shapes: dict[str, tuple[int, ...]] = {
        "encoder_hidden_states": (rows, tokens, width if isinstance(width, int) else width[0])
    }
    if config.addition_embed_type:
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        shapes |= {"text_embeds": (rows, pooled), "time_ids": (rows, 6)}
    return shapes


def make_digest(network: Any, kind: GraphKind) -> str:
    """Of everything that the graph is made from."""
    shape = {name: value for name, value in dict(network.config).items() if not name.startswith("_")}
    made_by = [REVISION, OPSET, torch.__version__, diffusers.__version__]
    made_by += [kind.halves, kind.axes, type(network).__name__]
    return hashlib.sha256(json.dumps([made_by, shape], sort_keys=True, default=str).encode()).hexdigest()


def keep_graph(network: Any, file: Path, kind: GraphKind) -> None:
    """Traces a network of `network`'s shape and writes its graph, in one step, so that no process reads half."""
    body = _name_weights(_trace(network, kind))
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_bytes(body)
    new.replace(file)


def _trace(network: Any, kind: GraphKind) -> bytes:
    """By PyTorch's older exporter: 5 s where the newer one takes 60 s, the same speed and error (docs/performance.md).

    With `export_params=False` the weights become inputs that bear their names.
    """
    with torch.device("meta"):  # nothing is initialised
        empty = type(network).from_config(network.config)
    if is_controlnet(empty):
        setattr(empty, EMBEDDING, nn.Identity())
    flat = _Flat(empty.to_empty(device="cpu").eval())
    for number, parameter in enumerate(flat.parameters()):  # the exporter makes one of those that are equal
        parameter.data.view(-1)[0] = number
    rewrite_layers(empty, kind)
    height, width = make_sides(empty, kind)
    names = list_inputs(empty)
    shapes = {"sample": (ROWS, empty.config.in_channels, height, width), "timestep": ()}
    shapes |= shape_text(empty, rows=ROWS, tokens=TOKENS)
    residuals = shape_residuals(empty, ROWS, height, width)
    more = residuals[:1] if is_controlnet(empty) else residuals  # an embedded condition is as large as the first
    given = [torch.zeros(shape) for shape in (*shapes.values(), *more)]
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
            flat, tuple(given), file, dynamo=False, export_params=False, do_constant_folding=False,
            input_names=names, output_names=list_outputs(empty), opset_version=OPSET, dynamic_axes=free,
        )  # fmt: skip
        return file.read_bytes()


def _name_weights(body: bytes) -> bytes:
    """The weights as constants that lie elsewhere, instead of inputs: only constants are laid out for speed."""
    import onnx

    model = onnx.load_from_string(body)
    inputs = list(model.graph.input)
    del model.graph.input[:]
    for given in inputs:
        if not given.name.startswith(PREFIX):
            model.graph.input.append(given)
            continue
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = given.name, given.type.tensor_type.elem_type
        tensor.dims.extend(axis.dim_value for axis in given.type.tensor_type.shape.dim)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=WEIGHTS)
    return bytes(model.SerializeToString())


class _Flat(nn.Module):
    """A network with its inputs in a row, as `list_inputs` names them. A UNet answers also with the mean over all
    places of what its middle block says (engine/vectors.py)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self._sizes = "time_ids" in list_inputs(network)

    def forward(self, sample: Tensor, timestep: Tensor, states: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        sizes, more = (rest[:2], rest[2:]) if self._sizes else ((), rest)
        given: dict[str, Any] = {"return_dict": False}
        given["added_cond_kwargs"] = dict(zip(("text_embeds", "time_ids"), sizes, strict=True)) if sizes else None
        if is_controlnet(self.network):
            downs, mid = self.network(sample, timestep, states, more[0], **given)
            return (*downs, mid)
        given |= {"down_block_additional_residuals": more[:-1], "mid_block_additional_residual": more[-1]}
        with watch_middle_block(self.network) as middle:
            answer: Tensor = self.network(sample, timestep, states, **given)[0]
        return (answer,) if middle.output is None else (answer, middle.output.mean(dim=(2, 3)))


def _free_axes(name: str) -> dict[int, str]:
    if name in ("sample", "condition") or name.startswith("residual"):
        return {0: "rows", 2: f"{name}_height", 3: f"{name}_width"}
    return {0: "rows", 1: "tokens"} if name == "encoder_hidden_states" else {0: "rows"}
