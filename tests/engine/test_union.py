"""A ControlNet-Union beside ordinary ControlNets; random weights, so what is proved is the path, against diffusers'."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import yaml
from diffusers import ControlNetUnionModel
from PIL import Image

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from engine.runtime_options import RuntimeOptions
from schemas.spec import ControlSpec, ImageSpec, ModelRef
from tests.engine.conftest import HEIGHT, WIDTH, Studio, get_pixels

MODES = {"canny": 3, "depth": 1}


@pytest.fixture(scope="module")
def union(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles, Any]:
    """(engine, catalogue) with `studio-tiny`, its canny ControlNet, and a union of six conditions."""
    folder = tmp_path_factory.mktemp("union")
    base = studio.catalogue.where("studio-tiny", asker="test")
    unet = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    width = unet.config.block_out_channels[0]
    torch.manual_seed(4)
    net = ControlNetUnionModel(
        **{k: v for k, v in unet.config.items() if k in known},
        conditioning_embedding_out_channels=(16, 32, 64), num_trans_channel=width, num_proj_channel=width,
        num_trans_head=4,
    )  # fmt: skip
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder / "union")
    canny = str(studio.catalogue.where("studio-tiny/canny", asker="test"))
    entries = {
        "studio-tiny": {"kind": "checkpoint", "path": str(base)},
        "canny": {"kind": "controlnet", "path": canny, "controls": ["canny"]},
        "union": {"kind": "controlnet", "path": "union", "modes": MODES},
    }
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    catalogue = ModelFiles.read(folder / "catalogue.yaml")
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue, net


def spec_with(
    studio: Studio, catalogue: ModelFiles, seed: int, *kinds: str, model: str = "union", **fields: Any
) -> ImageSpec:
    """Conditions are the studio's own pictures, one a kind, another for odd seeds."""
    controls = []
    for number, kind in enumerate(kinds):
        image = "cd"[(number + seed) % 2]
        made = studio.control("canny", image=image)
        lines = studio.conditions[made.condition_key(WIDTH, HEIGHT)]
        ref = ModelRef(alias=model, digest=catalogue.digest(model))
        mode = MODES[kind] if model == "union" else None
        control = ControlSpec(type=kind, image=image * 64, model=ref, control_mode=mode, **fields)
        studio.conditions[control.condition_key(WIDTH, HEIGHT)] = lines
        controls.append(control)
    return studio.spec(seed, controls=tuple(controls))


@pytest.mark.parametrize("kinds", [("canny",), ("canny", "depth")])
def test_a_row_is_what_diffusers_union_pipeline_makes_of_it(
    union: tuple[Engine, ModelFiles, Any], studio: Studio, kinds: tuple[str, ...]
) -> None:
    engine, catalogue, net = union
    spec = spec_with(studio, catalogue, 1, *kinds, controlnet_conditioning_scale=0.7)
    rows = studio.render(engine, [spec_with(studio, catalogue, 0, *kinds, controlnet_conditioning_scale=0.7), spec])
    assert rows[1].error is None, rows[1].error
    base = engine.models._base
    pipe = diffusers.StableDiffusionXLControlNetUnionPipeline(
        **base.components, controlnet=net.eval(), add_watermarker=False,
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    pictures = [Image.fromarray(studio.conditions[c.condition_key(WIDTH, HEIGHT)]) for c in spec.controls]
    expected = pipe(
        spec.prompt, negative_prompt=spec.negative_prompt, control_image=pictures,
        control_mode=[MODES[kind] for kind in kinds], controlnet_conditioning_scale=[0.7] * len(kinds),
        height=HEIGHT, width=WIDTH, num_inference_steps=3, guidance_scale=4.0, output_type="np",
        generator=torch.Generator().manual_seed(1),
    ).images[0]  # fmt: skip
    assert np.abs(rows[1].pixels.astype(int) - np.rint(expected * 255)).max() <= 1


def test_conditions_of_one_union_share_a_forward_and_rest_when_off(
    union: tuple[Engine, ModelFiles, Any], studio: Studio
) -> None:
    engine, catalogue, _ = union
    studio.render(engine, [spec_with(studio, catalogue, 0, "canny")])
    calls = []
    net = engine.models._nets[catalogue.digest("union")]
    hook = net.register_forward_pre_hook(
        lambda module, given, named: calls.append(list(named["control_type_idx"])), with_kwargs=True
    )
    studio.render(engine, [spec_with(studio, catalogue, 0, "canny", "depth")])
    assert calls == [[3, 1]] * 3
    calls.clear()
    studio.render(engine, [spec_with(studio, catalogue, 0, "canny", "depth", control_guidance_end=0.0)])
    hook.remove()
    assert calls == []


def test_a_union_and_an_ordinary_one_together_do_not_depend_on_the_batch(
    union: tuple[Engine, ModelFiles, Any], studio: Studio
) -> None:
    engine, catalogue, _ = union
    specs = []
    for seed in (0, 1, 2):
        both = spec_with(studio, catalogue, seed, "canny").controls
        both += spec_with(studio, catalogue, seed, "canny", model="canny").controls
        specs.append(studio.spec(seed, controls=both))
    together = studio.render(engine, specs)
    alone = studio.render(engine, specs[1:2])[0]
    assert together[1].error is None
    assert np.abs(together[1].pixels.astype(int) - alone.pixels.astype(int)).max() <= 1


def test_a_union_without_a_mode_says_what_to_give(union: tuple[Engine, ModelFiles, Any], studio: Studio) -> None:
    engine, catalogue, _ = union
    ref = ModelRef(alias="union", digest=catalogue.digest("union"))
    row = studio.render(engine, [studio.spec(0, controls=(ControlSpec(type="pose", image="c" * 64, model=ref),))])[0]
    assert row.pixels is None and "union is a union of 6 conditions; control 'pose' came with mode None" in str(
        row.error
    )


def test_the_catalogue_serves_a_unions_modes(union: tuple[Engine, ModelFiles, Any]) -> None:
    catalogue = union[1]
    assert catalogue.controlnet("studio-tiny", "depth", asker="x").alias == "union"
    assert catalogue.controlnet("studio-tiny", "canny", asker="x").alias == "canny"


def test_beside_a_graph_a_union_is_pytorchs_and_an_ordinary_one_is_not(
    union: tuple[Engine, ModelFiles, Any], studio: Studio, tmp_path: Path
) -> None:
    engine, catalogue, _ = union
    levers = RuntimeOptions(backend="onnxruntime", folder=tmp_path)
    graphed = Engine(catalogue, device="cpu", dtype="float32", levers=levers)
    both = (
        spec_with(studio, catalogue, 1, "canny").controls
        + spec_with(studio, catalogue, 1, "canny", model="canny").controls
    )
    spec = studio.spec(1, controls=both)
    made, plain = studio.render(graphed, [spec]), studio.render(engine, [spec])
    reason = "ControlNet by PyTorch: ControlNetUnionModel"
    assert made[0].levers == {"backend": "onnxruntime", "backend_reason": reason}
    assert np.abs(get_pixels(made[0]).astype(int) - get_pixels(plain[0])).max() <= 1
