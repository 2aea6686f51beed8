"""Guidance: rescaled as diffusers does where it can, and nothing computed outside the interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from schemas.spec import ImageSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


def test_rescale_is_diffusers_own(engine: Engine, studio: Studio) -> None:
    spec = studio.spec(1, guidance_rescale=0.7)
    made = pixels(engine, studio, studio.spec(0, guidance_rescale=0.7), spec)[1]
    base = engine.models._base
    pipe = diffusers.StableDiffusionXLPipeline(
        **base.components,
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        spec.prompt, negative_prompt=spec.negative_prompt, height=HEIGHT, width=WIDTH, num_inference_steps=3,
        guidance_scale=4.0, guidance_rescale=0.7, generator=torch.Generator().manual_seed(1), output_type="np",
    ).images[0]  # fmt: skip
    assert np.abs(made - np.rint(expected * 255)).max() <= 1
    assert np.abs(made - pixels(engine, studio, studio.spec(1))[0]).max() > 1


@pytest.mark.parametrize("task", ["txt2img", "img2img", "two controls"])
def test_an_interval_skips_the_negative_half_exactly(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]], task: str
) -> None:
    """With the interval empty the picture is the one without guidance, and half the rows are computed."""

    def made(**fields: Any) -> tuple[np.ndarray, list[int], list[int]]:
        spec = tasks[task](1)
        spec = type(spec).model_validate(spec.model_dump() | {"num_inference_steps": 6} | fields)
        unet, sizes, nets = engine.models._base.unet, [], []
        hooks = [unet.register_forward_hook(lambda m, given, said: sizes.append(given[0].shape[0]))]
        for control in spec.controls:
            net = engine.models._nets[control.model.digest]
            hooks.append(net.register_forward_pre_hook(lambda m, given: nets.append(given[0].shape[0])))
        picture = pixels(engine, studio, spec)[0]
        for hook in hooks:
            hook.remove()
        return picture, sizes, nets

    pixels(engine, studio, tasks[task](1))
    plain, _, _ = made(guidance_scale=1.0)
    empty, sizes, nets = made(guidance_start=1.0)
    assert np.abs(empty - plain).max() <= 1
    assert set(sizes) == {1} and set(nets) <= {1}
    full, sizes, _ = made()
    assert set(sizes) == {2}
    part, sizes, nets = made(guidance_end=0.5)
    assert sizes[0] == 2 and sizes[-1] == 1 and sizes == sorted(sizes, reverse=True)
    assert np.abs(part - full).max() > 1 and np.abs(part - empty).max() > 1


def test_rescale_and_interval_do_not_depend_on_the_batch_and_leave_no_hook(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]
) -> None:
    fields = {"guidance_rescale": 0.5, "guidance_start": 0.2, "guidance_end": 0.7, "num_inference_steps": 5}
    specs = [studio.spec(n, **fields, controls=(studio.control(),)) for n in (0, 1, 2)]
    together = pixels(engine, studio, *specs)
    assert np.abs(together[1] - pixels(engine, studio, specs[1])[0]).max() <= 1
    unet = engine.models._base.unet
    assert not unet._forward_hooks and not unet._forward_pre_hooks
