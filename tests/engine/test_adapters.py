"""T2I-Adapters against diffusers' own pipeline, in a batch, together, and beside what diffusers has no pipeline for.

Random weights (tests/untrained.py): what is proved is the path.
"""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.spec import ControlSpec, ImageSpec, ModelRef
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.untrained import make


@pytest.fixture(scope="module")
def world(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles]:
    """(engine, catalogue) of everything untrained."""
    catalogue = ModelFiles.read(make(tmp_path_factory.mktemp("untrained")))
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue


def adapter(
    studio: Studio, catalogue: ModelFiles, name: str = "sketch", *, image: str = "c", **fields: Any
) -> ControlSpec:
    """A control whose condition is the studio's picture `image`."""
    lines = studio.conditions[studio.control("canny", image=image).condition_key(WIDTH, HEIGHT)]
    alias = f"untrained/t2i-{name}"
    ref = ModelRef(alias=alias, digest=catalogue.digest(alias))
    control = ControlSpec(type=name, image=image * 64, model=ref, kind="t2i_adapter", precomputed=True, **fields)
    studio.conditions[control.condition_key(WIDTH, HEIGHT)] = lines
    return control


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


def by_diffusers(engine: Engine, studio: Studio, spec: ImageSpec) -> np.ndarray:
    base, nets = engine.models._base, engine.models.adapters(spec, asker="test")
    pipe = diffusers.StableDiffusionXLAdapterPipeline(
        **base.components,
        adapter=diffusers.MultiAdapter(nets) if len(nets) > 1 else nets[0],
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
    )
    pipe.set_progress_bar_config(disable=True)
    scales = [control.controlnet_conditioning_scale for control in spec.adapters]
    seen = [Image.fromarray(studio.conditions[c.condition_key(WIDTH, HEIGHT)]) for c in spec.adapters]
    made = pipe(
        spec.prompt, negative_prompt=spec.negative_prompt, image=seen if len(nets) > 1 else seen[0], height=HEIGHT,
        width=WIDTH, num_inference_steps=spec.num_inference_steps, guidance_scale=spec.guidance_scale,
        adapter_conditioning_scale=scales if len(nets) > 1 else scales[0],
        adapter_conditioning_factor=spec.adapters[0].control_guidance_end, output_type="np",
        generator=torch.Generator().manual_seed(spec.seed),
    ).images[0]  # fmt: skip
    return np.rint(made * 255)


@pytest.mark.parametrize("names", [("sketch",), ("sketch", "depth")])
def test_a_row_of_a_batch_is_what_diffusers_makes_of_it(
    world: tuple[Engine, ModelFiles], studio: Studio, names: tuple[str, ...]
) -> None:
    engine, catalogue = world
    scales = {"controlnet_conditioning_scale": 0.6, "control_guidance_end": 0.7}

    def spec(seed: int, image: str) -> ImageSpec:
        return studio.spec(
            seed, controls=tuple(adapter(studio, catalogue, name, image=image, **scales) for name in names)
        )

    asked = spec(1, "d")
    made = pixels(engine, studio, spec(0, "c"), asked, spec(2, "c"))[1]
    plain = pixels(engine, studio, studio.spec(1))[0]
    assert np.abs(made - by_diffusers(engine, studio, asked)).max() <= 1
    assert np.abs(made - plain).max() > 1


def test_off_is_off_and_the_next_batch_knows_nothing_of_it(world: tuple[Engine, ModelFiles], studio: Studio) -> None:
    engine, catalogue = world
    plain = pixels(engine, studio, studio.spec(1))[0]
    pixels(engine, studio, studio.spec(1, controls=(adapter(studio, catalogue),)))
    np.testing.assert_array_equal(pixels(engine, studio, studio.spec(1))[0], plain)
    offs: list[dict[str, Any]] = [{"controlnet_conditioning_scale": 0.0}, {"control_guidance_end": 0.2}]
    for off in offs:
        none = pixels(engine, studio, studio.spec(1, controls=(adapter(studio, catalogue, **off),)))[0]
        np.testing.assert_array_equal(none, plain)
    unet = engine.models._base.unet
    assert not unet._forward_hooks and not unet._forward_pre_hooks


@pytest.mark.parametrize("task", ["img2img", "inpaint", "controlnet", "interval", "seamless"])
def test_beside_everything_else_a_row_does_not_depend_on_its_batch(
    world: tuple[Engine, ModelFiles], studio: Studio, task: str
) -> None:
    engine, catalogue = world
    kinds: dict[str, dict[str, Any]] = {
        "img2img": {"source": "a" * 64, "strength": 0.7},
        "inpaint": {"source": "a" * 64, "mask": "e" * 64, "strength": 0.9},
        "controlnet": {},
        "interval": {"guidance_start": 0.3, "guidance_rescale": 0.3},
        "seamless": {"seamless": "xy"},
    }
    fields = kinds[task]
    before = (studio.control("canny"),) if task == "controlnet" else ()
    specs = [studio.spec(n, controls=(*before, adapter(studio, catalogue, image="cd"[n])), **fields) for n in (0, 1)]
    together = pixels(engine, studio, *specs)[1]
    assert np.abs(together - pixels(engine, studio, specs[1])[0]).max() <= 1
    without = pixels(engine, studio, studio.spec(1, controls=before, **fields))[0]
    assert np.abs(together - without).max() > 1


def test_a_size_that_the_adapter_cannot_take_is_an_error_that_says_so(
    world: tuple[Engine, ModelFiles], studio: Studio
) -> None:
    engine, catalogue = world
    control = adapter(studio, catalogue)
    studio.conditions[control.condition_key(WIDTH, 40)] = np.zeros((40, WIDTH, 3), np.uint8)
    row = studio.render(engine, [studio.spec(0, controls=(control,), height=40)])[0]
    assert "got 64x40 with the T2I-Adapter untrained/t2i-sketch; expected sides that are multiples of 16" in str(
        row.error
    )


def test_the_catalogue_serves_a_control_by_a_controlnet_first(world: tuple[Engine, ModelFiles]) -> None:
    catalogue = world[1]
    assert catalogue.controlnet("studio-tiny", "depth", asker="x").alias == "studio-tiny/depth"
    assert catalogue.controlnet("studio-tiny", "sketch", asker="x").alias == "untrained/t2i-sketch"
