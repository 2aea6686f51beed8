"""Perturbed-attention guidance against diffusers' own pipelines, and taken off again."""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from engine.diffuse import Engine
from schemas.spec import ImageSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio

LAYERS = ("down_blocks.2", "mid")
PIPELINES = {
    "txt2img": "StableDiffusionXLPAGPipeline",
    "img2img": "StableDiffusionXLPAGImg2ImgPipeline",
    "inpaint": "StableDiffusionXLPAGInpaintPipeline",
    "control": "StableDiffusionXLControlNetPAGPipeline",
}


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


def fields_of(studio: Studio, task: str) -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {
        "txt2img": {},
        "img2img": {"source": "a" * 64, "strength": 0.7},
        "inpaint": {"source": "a" * 64, "mask": "e" * 64, "strength": 1.0},
        "control": {"controls": (studio.control(),)},
    }
    return fields[task]


@pytest.mark.parametrize("task", list(PIPELINES))
@pytest.mark.parametrize("guidance_scale", [4.0, 1.0])
def test_a_row_of_a_batch_is_what_diffusers_makes_of_it(
    engine: Engine, studio: Studio, task: str, guidance_scale: float
) -> None:
    pag = {"pag_scale": 6.0, "pag_applied_layers": LAYERS, "guidance_scale": guidance_scale}
    fields = fields_of(studio, task)
    spec = studio.spec(1, **fields, **pag)
    made = pixels(engine, studio, studio.spec(0, **fields, **pag), spec)[1]
    plain = pixels(engine, studio, studio.spec(1, **fields, guidance_scale=guidance_scale))[0]
    base = engine.models._base
    parts = dict(base.components)
    if spec.controls:
        parts["controlnet"] = engine.models._nets[spec.controls[0].model.digest]
    pipe = getattr(diffusers, PIPELINES[task])(
        **parts, pag_applied_layers=list(LAYERS), add_watermarker=False,
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    call: dict[str, Any] = {"height": HEIGHT, "width": WIDTH}
    if task in ("img2img", "inpaint"):
        call = {"image": Image.fromarray(studio.sources["a" * 64]), "strength": spec.strength}
    if task == "inpaint":
        call |= {"mask_image": Image.fromarray(studio.masks["e" * 64]), "height": HEIGHT, "width": WIDTH}
    if spec.controls:
        call["image"] = Image.fromarray(studio.conditions[spec.controls[0].condition_key(WIDTH, HEIGHT)])
    expected = np.rint(
        pipe(
            spec.prompt, negative_prompt=spec.negative_prompt, num_inference_steps=3, guidance_scale=guidance_scale,
            pag_scale=6.0, generator=torch.Generator().manual_seed(1), output_type="np", **call,
        ).images[0] * 255
    )  # fmt: skip
    # the feather mixes the source in near the mask's edge; compare where it no longer does
    inside = (slice(23, 25), slice(27, 33)) if task == "inpaint" else (slice(None), slice(None))
    assert np.abs(made - expected)[inside].max() <= 1
    assert np.abs(made - plain).max() > 1


def test_it_is_taken_off_without_a_trace(engine: Engine, studio: Studio) -> None:
    plain = pixels(engine, studio, studio.spec(1))[0]
    pixels(engine, studio, studio.spec(1, pag_scale=3.0, pag_applied_layers=("mid",)))
    np.testing.assert_array_equal(pixels(engine, studio, studio.spec(1))[0], plain)
    unet = engine.models._base.unet
    assert not unet._forward_hooks and not unet._forward_pre_hooks
    assert not any("PAG" in type(processor).__name__ for processor in unet.attn_processors.values())


def test_the_interval_is_its_own_too_and_only_the_unet_is_perturbed(engine: Engine, studio: Studio) -> None:
    sizes, nets = [], []
    control = studio.control()
    spec = studio.spec(
        1, pag_scale=3.0, pag_applied_layers=("mid",), controls=(control,), num_inference_steps=6, guidance_end=0.5
    )
    pixels(engine, studio, spec)
    unet, net = engine.models._base.unet, engine.models._nets[control.model.digest]
    hooks = [
        unet.mid_block.register_forward_pre_hook(lambda m, given: sizes.append(given[0].shape[0])),
        net.register_forward_pre_hook(lambda m, given: nets.append(given[0].shape[0])),
    ]
    pixels(engine, studio, spec)
    for hook in hooks:
        hook.remove()
    assert sizes == [3, 3, 3, 1, 1, 1] and nets == [2, 2, 2, 1, 1, 1]


def test_a_layer_that_is_not_there_is_an_error_that_names_those_that_are(engine: Engine, studio: Studio) -> None:
    row = studio.render(engine, [studio.spec(0, pag_scale=3.0, pag_applied_layers=("down_blocks.0",))])[0]
    assert "PAG is asked for in 'down_blocks.0'; studio-tiny has self-attention in: down_blocks.1.att" in str(row.error)
    assert "mid_block.attentions.0" in str(row.error)
