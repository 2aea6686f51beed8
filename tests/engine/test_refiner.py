"""Base and refiner against diffusers' two pipelines in a row. Random refiner: what is proved is the path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.spec import EmbeddingRef, ImageSpec, ModelRef, Refiner
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.untrained import make

STEPS = 6


@pytest.fixture(scope="module")
def world(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles]:
    """(engine, catalogue)"""
    catalogue = ModelFiles.read(make(tmp_path_factory.mktemp("untrained")))
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue


def refiner(catalogue: ModelFiles, **fields: Any) -> Refiner:
    ref = ModelRef(alias="untrained/refiner", digest=catalogue.digest("untrained/refiner"))
    return Refiner(model=ref, **{"denoising_start": 0.5} | fields)


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


@pytest.mark.parametrize(("guidance_scale", "rescale"), [(4.0, 0.3), (1.0, 0.0)])
def test_a_row_of_a_batch_is_what_diffusers_two_pipelines_make_of_it(
    world: tuple[Engine, ModelFiles], studio: Studio, guidance_scale: float, rescale: float
) -> None:
    engine, catalogue = world
    fields = {
        "refiner": refiner(catalogue, aesthetic_score=7.0), "num_inference_steps": STEPS,
        "guidance_scale": guidance_scale, "guidance_rescale": rescale,
    }  # fmt: skip
    spec = studio.spec(1, **fields)
    made = pixels(engine, studio, studio.spec(0, **fields), spec)[1]
    plain = pixels(engine, studio, spec.model_copy(update={"refiner": None}))[0]
    paths = [catalogue.where(alias, asker="x") for alias in ("studio-tiny", "untrained/refiner")]
    base, second = (
        getattr(diffusers, name).from_pretrained(path, dtype=torch.float32, add_watermarker=False)
        for name, path in zip(("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"), paths, strict=True)
    )
    for pipe in (base, second):
        pipe.set_progress_bar_config(disable=True)
    shared = {
        "prompt": spec.prompt, "negative_prompt": spec.negative_prompt, "num_inference_steps": STEPS,
        "guidance_scale": guidance_scale, "guidance_rescale": rescale, "generator": torch.Generator().manual_seed(1),
    }  # fmt: skip
    latents = base(**shared, height=HEIGHT, width=WIDTH, denoising_end=0.5, output_type="latent").images
    expected = second(**shared, image=latents, denoising_start=0.5, aesthetic_score=7.0, output_type="np").images[0]
    assert np.abs(made - np.rint(expected * 255)).max() <= 1
    assert np.abs(made - plain).max() > 1


def test_it_takes_over_where_it_is_told_and_leaves_nothing(world: tuple[Engine, ModelFiles], studio: Studio) -> None:
    engine, catalogue = world
    plain = pixels(engine, studio, studio.spec(1))[0]
    spec = studio.spec(1, refiner=refiner(catalogue, denoising_start=2 / 3), num_inference_steps=STEPS)
    pixels(engine, studio, spec)
    calls = {"base": 0, "refiner": 0}
    assert engine.models._refiner is not None
    unets = {"base": engine.models._base.unet, "refiner": engine.models._refiner[1].unet}

    def counting(name: str) -> Callable[..., None]:
        def count(module: torch.nn.Module, given: Any, said: Any) -> None:
            calls[name] += 1

        return count

    hooks = [unet.register_forward_hook(counting(name)) for name, unet in unets.items()]
    pixels(engine, studio, spec)
    for hook in hooks:
        hook.remove()
    assert calls == {"base": 4, "refiner": 2}
    np.testing.assert_array_equal(pixels(engine, studio, studio.spec(1))[0], plain)


def test_long_prompts_controls_loras_and_embeddings_go_through(
    world: tuple[Engine, ModelFiles], studio: Studio
) -> None:
    engine, catalogue = world
    word = EmbeddingRef(alias="untrained/muddy", digest=catalogue.digest("untrained/muddy"), token="muddy")
    fields = {
        "refiner": refiner(catalogue), "controls": (studio.control(),), "loras": (studio.lora(),),
        "embeddings": (word,), "seamless": "x", "num_inference_steps": STEPS, "scheduler": "DPM++ 2M Karras",
    }  # fmt: skip
    specs = [
        studio.spec(0, prompt="a muddy red boat " + "on the sea " * 40, **fields),
        studio.spec(1, prompt="a red boat", **fields),
    ]
    together = pixels(engine, studio, *specs)
    for number, spec in enumerate(specs):
        assert np.abs(together[number] - pixels(engine, studio, spec)[0]).max() <= 1


def test_the_record_names_it(world: tuple[Engine, ModelFiles], studio: Studio) -> None:
    engine, catalogue = world
    row = studio.render(engine, [studio.spec(0, refiner=refiner(catalogue), num_inference_steps=STEPS)])[0]
    assert row.models["untrained/refiner"] == catalogue.digest("untrained/refiner") and row.timings["refine"] > 0
